#include "tombola/data/gzip.hpp"

#include <doctest/doctest.h>

#include "data/compress.hpp"
#include "support/temporary_folder.hpp"
#include "tombola/core/random.hpp"
#include "tombola/data/idx.hpp"

using namespace tombola;
using data::gunzip;
using test_support::compress;

namespace {

constexpr std::uint64_t plenty = std::uint64_t{1} << 32;

/// Bytes that do not compress.
Bytes noise(std::size_t size) {
  Sequence draws(Stream{.seed = 2, .purpose = Purpose::control});
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(draws.next());
  return bytes;
}

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

const Bytes small_idx = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9};

}  // namespace

TEST_CASE("gzip: what went in comes out") {
  for (const std::size_t size : {0, 1, 4095, 4096, 4097, 300'000}) {
    CAPTURE(size);
    const Bytes bytes = noise(size);
    CHECK(gunzip(compress(bytes), "f", plenty) == bytes);
  }
  const Bytes zeros(5'000'000);  // a thousandfold: the output grows many times on the way
  const Bytes compressed = compress(zeros);
  CHECK(compressed.size() < 6000);
  CHECK(gunzip(compressed, "f", plenty) == zeros);
}

TEST_CASE("gzip: a file by gzip itself, with name and time") {
  // printf tombola >name; gzip -c name
  const Bytes file = {0x1F, 0x8B, 0x08, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 'n',  'a',  'm',  'e',  0x00, 0x2B,
                      0xC9, 0xCF, 0x4D, 0xCA, 0xCF, 0x49, 0x04, 0x00, 0xC5, 0xE3, 0x12, 0x3C, 0x07, 0x00, 0x00, 0x00};
  CHECK(gunzip(file, "f", plenty) == Bytes{'t', 'o', 'm', 'b', 'o', 'l', 'a'});
}

TEST_CASE("gzip: several members are joined, as RFC 1952 has it") {
  const Bytes a = noise(5000), b = {1, 2, 3}, nothing;
  const Bytes file = joined(joined(compress(a), compress(nothing)), compress(b));
  CHECK(gunzip(file, "f", plenty) == joined(a, b));
  CHECK(gunzip(file, "f", 5003) == joined(a, b));
  CHECK_THROWS_WITH_AS(gunzip(file, "f", 5002), doctest::Contains("expected at most 5002 inflated bytes, got more"),
                       std::runtime_error);  // the limit is on them together
}

TEST_CASE("gzip: refuses what follows the last member") {
  const Bytes member = compress(small_idx);
  const std::string at = "f: at byte " + std::to_string(member.size()) + ": expected ";
  CHECK_THROWS_WITH_AS(gunzip(joined(member, {7}), "f", plenty),
                       (at + "the end or another gzip member, got 1 bytes of something else").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(gunzip(joined(member, {0, 0, 0, 0}), "f", plenty),
                       (at + "the end or another gzip member, got 4 bytes of something else").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(gunzip(joined(member, {0x1F}), "f", plenty),
                       (at + "the end or another gzip member, got 1 bytes of something else").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(gunzip(joined(member, {0x1F, 0x8B}), "f", plenty),  // another one begins
                       concat("f: at byte ", member.size() + 2,
                              ": expected more of the gzip stream, got the end of the file (it is truncated)")
                           .c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(gunzip(joined(member, small_idx), "f", plenty),
                       (at + "the end or another gzip member, got 28 bytes of something else").c_str(),
                       std::runtime_error);
}

TEST_CASE("gzip: refuses more than the limit, however small the file is") {
  const Bytes bomb = compress(Bytes(10'000'000));
  CHECK(gunzip(bomb, "f", 10'000'000).size() == 10'000'000);
  for (const std::uint64_t limit : {std::uint64_t{0}, std::uint64_t{1000}, std::uint64_t{9'999'999}}) {
    CAPTURE(limit);
    const std::string message = "expected at most " + std::to_string(limit) + " inflated bytes, got more";
    CHECK_THROWS_WITH_AS(gunzip(bomb, "f", limit), doctest::Contains(message.c_str()), std::runtime_error);
  }
  CHECK(gunzip(compress({}), "f", 0).empty());
  CHECK(gunzip(compress(small_idx), "f", ~std::uint64_t{0}) == small_idx);
}

TEST_CASE("gzip: refuses what is not gzip at all") {
  CHECK_THROWS_WITH_AS(gunzip({}, "f", plenty),
                       "f: at byte 0: expected more of the gzip stream, got the end of the file (it is truncated)",
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(gunzip(small_idx, "f", plenty),
                       doctest::Contains("expected an intact gzip stream, got incorrect"), std::runtime_error);
  CHECK_FALSE(data::is_gzip({}));
  CHECK_FALSE(data::is_gzip(Bytes{0x1F}));
  CHECK_FALSE(data::is_gzip(small_idx));
  CHECK(data::is_gzip(compress({})));
}

TEST_CASE("gzip: every truncation is refused") {
  const Bytes whole = joined(compress(small_idx), compress(noise(100)));
  const std::size_t first_member = compress(small_idx).size();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    if (size == first_member) {
      CHECK(gunzip(part, "f", plenty) == small_idx);  // a whole file by itself
    } else {
      CHECK_THROWS_AS(gunzip(part, "f", plenty), std::runtime_error);
    }
  }
}

TEST_CASE("gzip: every changed byte is refused or changes nothing") {
  const Bytes whole = compress(small_idx);
  int refused = 0, read = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      CAPTURE(at);
      CAPTURE(change);
      Bytes bytes = whole;
      bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ change);
      try {
        const Bytes content = gunzip(bytes, "f", plenty);
        ++read;
        REQUIRE(content == small_idx);
        REQUIRE(data::parse_idx(content, "f").size() == 12);
      } catch (const std::runtime_error& error) {
        ++refused;
        REQUIRE(std::string(error.what()).starts_with("f: at byte "));
      }
    }
  }
  CHECK(read >= 6 * 255);  // time (4 bytes), extra flags, system
  CHECK(read < 7 * 255);   // and a few: a flag without meaning, the bits that fill the last byte of the compressed data
  CHECK(refused + read == static_cast<int>(whole.size()) * 255);
}

TEST_CASE("gzip: a changed checksum or length is named") {
  const Bytes whole = compress(small_idx);
  Bytes checksum = whole, length = whole;
  checksum[whole.size() - 8] ^= 1;
  length[whole.size() - 4] ^= 1;
  CHECK_THROWS_WITH_AS(gunzip(checksum, "f", plenty), doctest::Contains("got incorrect data check"),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(gunzip(length, "f", plenty), doctest::Contains("got incorrect length check"),
                       std::runtime_error);
}

TEST_CASE("gzip: a file that may be compressed") {
  const test_support::TemporaryFolder folder;
  const std::string raw = folder.write("raw", small_idx), packed = folder.write("packed", compress(small_idx));
  const std::string broken = folder.write("broken", {{0x1F, 0x8B, 0x08}});
  CHECK(data::read_maybe_gzip(raw) == small_idx);
  CHECK(data::read_maybe_gzip(packed) == small_idx);
  CHECK(data::read_maybe_gzip(folder.write("empty", {})).empty());
  CHECK_THROWS_WITH_AS(data::read_maybe_gzip(raw, 27), (raw + ": at byte 0: expected at most 27 bytes, got 28").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(data::read_maybe_gzip(packed, 27),
                       concat(packed, ": at byte 0: expected at most 27 bytes, got ", compress(small_idx).size()).c_str(),
                       std::runtime_error);
  const std::string zeros = folder.write("zeros", compress(Bytes(10'000)));  // small as it lies, too large once inflated
  CHECK(data::read_maybe_gzip(zeros, 10'000).size() == 10'000);
  CHECK_THROWS_WITH_AS(data::read_maybe_gzip(zeros, 9'999), doctest::Contains("expected at most 9999 inflated bytes, got more"), std::runtime_error);
  CHECK_THROWS_WITH_AS(data::read_maybe_gzip(broken), doctest::Contains((broken + ": at byte 3: expected").c_str()),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(data::read_maybe_gzip(folder / "none"), doctest::Contains("No such file or directory"),
                       std::runtime_error);
}
