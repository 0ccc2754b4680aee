// The known answers are from tests/ticket/independent_reader.py.
#include "tombola/ticket/mask_coder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tombola/core/crc64.hpp"
#include "tombola/core/random.hpp"

using namespace tombola;

namespace {

/// True where a random word is below the threshold.
Bits random_mask(Index size, std::uint64_t threshold) {
  Bits mask(size);
  Sequence words(Stream{5, Purpose::weights, 3, 0});
  for (Index i = 0; i < size; ++i) mask.set(i, words.next() < threshold);
  return mask;
}

Bits decode(std::span<const std::uint8_t> bytes, Index size, Index kept) {
  Reader reader(bytes, "mask");
  Bits mask = ticket::decode_mask(reader, size, kept);
  CHECK(reader.remaining() == 0);
  return mask;
}

/// Decoded, if it is accepted, the bytes must be the ones that the encoder writes: there is one code for a mask.
void check_refused_or_canonical(const Bytes& bytes, Index size, Index kept) {
  try {
    Reader reader(bytes, "mask");
    const Bits mask = ticket::decode_mask(reader, size, kept);
    CHECK(ticket::encode_mask(mask) == bytes);
  } catch (const std::runtime_error&) {
  }
}

double entropy(Index size, Index kept) {
  if (kept == 0 || kept == size) return 0;
  const auto n = static_cast<double>(size), k = static_cast<double>(kept);
  return (k * std::log2(n / k) + (n - k) * std::log2(n / (n - k))) / 8;
}

void check_round_trip(const Bits& mask) {
  const Index size = mask.size(), kept = mask.count();
  const Bytes bytes = ticket::encode_mask(mask);
  CHECK(decode(bytes, size, kept) == mask);
  if (kept == 0 || kept == size) {
    CHECK(bytes.empty());
  } else {
    const double states = ticket::detail::state_count(size);
    const auto n = static_cast<double>(size);
    CHECK(static_cast<double>(bytes.size()) <= 1.005 * entropy(size, kept) + 4 * states + 2 + n * std::exp2(-18.4));
  }
}

}  // namespace

TEST_CASE("mask coder: known answers") {
  CHECK(ticket::encode_mask(random_mask(24, 1u << 30)) == Bytes{0x16, 0x4A, 0x12, 0, 0, 0});
  CHECK(ticket::encode_mask(random_mask(100, 1u << 29)) == Bytes{0xE1, 0x1D, 0x33, 0x1B, 0xB9, 0x3E, 0x1C, 0x95});
  struct Answer {
    Index size;
    std::uint64_t threshold, bytes, crc;
  };
  for (const auto& [size, threshold, bytes, crc] :
       {Answer{65535, 1u << 28, 2742, 0x8AD528B4097CC711}, Answer{65536, 1u << 31, 8222, 0xFF800CDB43630695},
        Answer{70001, 1u << 27, 1742, 0x55ACF338F4928FF1}, Answer{1048577, 1u << 26, 15338, 0x4FEB9171ACD3F881}}) {
    const Bytes code = ticket::encode_mask(random_mask(size, threshold));
    CHECK(code.size() == bytes);
    CHECK(crc64(code) == crc);
  }
}

TEST_CASE("mask coder: round trips of every size up to 200, and of constant masks") {
  for (Index size = 0; size <= 200; ++size) {
    for (const std::uint64_t share :
         {0x00000000ull, 0x02000000ull, 0x40000000ull, 0x80000000ull, 0xF0000000ull, 0x100000000ull}) {
      check_round_trip(random_mask(size, share));
    }
  }
}

TEST_CASE("mask coder: round trips and sizes of large masks, at every number of states and with tails") {
  for (const Index size : {1000, 65535, 65536, 65599, 235200, (1 << 20) - 1, 1 << 20, (1 << 20) + 77}) {
    for (const double share : {0.0, 0.00001, 0.0005, 0.015, 0.05, 0.2, 0.35, 0.5, 0.8, 0.95, 0.9999, 1.0}) {
      CAPTURE(size);
      CAPTURE(share);
      check_round_trip(random_mask(size, static_cast<std::uint64_t>(std::ldexp(share, 32))));
    }
  }
}

TEST_CASE("mask coder: one gate alone, kept or not, anywhere") {
  for (const Index size : {2, 63, 64, 65, 1000, 70000}) {
    for (const Index at : {Index{0}, Index{1}, size / 2, size - 1}) {
      Bits one(size), others(size);
      for (Index i = 0; i < size; ++i) others.set(i, i != at);
      one.set(at, true);
      check_round_trip(one);
      check_round_trip(others);
    }
  }
}

TEST_CASE("mask coder: a mask that does not look random costs its entropy and no more") {
  Bits halves(100000), stripes(100000);
  for (Index i = 0; i < halves.size(); ++i) {
    halves.set(i, i < halves.size() / 20);
    stripes.set(i, i % 20 == 0);
  }
  check_round_trip(halves);
  check_round_trip(stripes);
}

TEST_CASE("mask coder: a kept share below the resolution costs at most 2.9 bytes a million gates more") {
  Bits mask(1 << 22);
  for (Index i = 0; i < 5; ++i) mask.set(i * 777777, true);
  check_round_trip(mask);
  CHECK(ticket::encode_mask(mask).size() <= 32 * 4 + 2 + 12 + 10 + 10);
}

TEST_CASE("mask coder: damaged bytes are refused, or are the code of another mask") {
  for (const Index size : {100, 70001}) {
    const Bits mask = random_mask(size, size == 100 ? 1u << 29 : 1u << 24);
    const Index kept = mask.count();
    const Bytes bytes = ticket::encode_mask(mask);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const int step = size == 100 ? 1 : 37;
      for (int change = 1; change < 256; change += step) {
        Bytes altered = bytes;
        altered[at] = static_cast<std::uint8_t>(altered[at] ^ change);
        check_refused_or_canonical(altered, size, kept);
      }
      check_refused_or_canonical(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at)), size, kept);
    }
    for (const std::size_t more : {1, 2, 4}) {
      Bytes longer(bytes.size() + more);
      std::copy(bytes.begin(), bytes.end(), longer.begin());
      CHECK_THROWS_AS(decode(longer, size, kept), std::runtime_error);
    }
    CHECK_THROWS_WITH_AS(decode({}, size, kept), "mask: at byte 0: expected 4 more bytes, got 0 (the file is truncated)",
                         std::runtime_error);
    const std::string unread = concat("mask: at byte 0: expected the end, got ", bytes.size(), " more bytes");
    CHECK_THROWS_WITH_AS(decode(bytes, size, 0), unread.c_str(), std::runtime_error);
    CHECK_THROWS_WITH_AS(decode(bytes, size, size), unread.c_str(), std::runtime_error);
    for (const Index other : {kept - 1, kept + 1}) CHECK_THROWS_AS(decode(bytes, size, other), std::runtime_error);
    for (const Index other : {size - 1, size + 1}) CHECK_THROWS_AS(decode(bytes, other, kept), std::runtime_error);
  }
}

TEST_CASE("mask coder: each refusal says what was expected") {
  const auto message = [](const Bytes& bytes, Index size, Index kept) {
    try {
      Reader reader(bytes, "some.tombola", 40);
      ticket::decode_mask(reader, size, kept);
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  CHECK(message({0, 0, 0, 0}, 8, 4) == "some.tombola: at byte 44: expected a coder state of at least 65536, got 0");
  CHECK(message({0, 0, 1, 0, 5}, 8, 4) == "some.tombola: at byte 44: expected an even number of bytes, got 1");
  CHECK(message({0, 0, 1}, 8, 4) == "some.tombola: at byte 40: expected 4 more bytes, got 3 (the file is truncated)");
  CHECK(message({0, 0, 1, 0}, 8, 4) == "some.tombola: at byte 44: expected more words of the mask, got its end");
  CHECK(message({0, 0, 0, 1}, 8, 4) == "some.tombola: at byte 44: expected 4 kept gates, got 8");
  CHECK(message({0, 0, 0, 2}, 8, 4) ==
        "some.tombola: at byte 44: expected a final coder state of 65536 (the mask was altered), got 131072");
  CHECK(message({0, 0, 0, 1, 1, 1}, 8, 4) ==
        "some.tombola: at byte 46: expected a mask that needs every word, got 2 bytes too many");
  CHECK(message({7}, 8, 0) == "some.tombola: at byte 40: expected the end, got 1 more bytes");
}

TEST_CASE("mask coder: the caller's mistakes") {
  const auto refused = [](Index size, Index kept, const std::string& got) {
    CHECK_THROWS_WITH_AS(decode({}, size, kept), ("mask: expected 0 <= kept <= size <= 2^34, got " + got).c_str(), std::invalid_argument);
  };
  refused(8, 9, "9 of 8");
  refused(8, -1, "-1 of 8");
  refused(-8, 0, "0 of -8");
  refused((Index{1} << 34) + 1, 0, "0 of 17179869185");
}
