#include "tombola/data/idx.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <vector>

using namespace tombola;
using data::parse_idx;

namespace {

Bytes idx(std::uint32_t magic, const std::vector<std::uint32_t>& extents, std::size_t elements) {
  Bytes bytes;
  const auto big = [&bytes](std::uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(number >> shift));
  };
  big(magic);
  for (const std::uint32_t extent : extents) big(extent);
  for (std::size_t i = 0; i < elements; ++i) bytes.push_back(static_cast<std::uint8_t>(3 * i + 1));
  return bytes;
}

Bytes contents(View<const std::uint8_t> view) { return {view.begin(), view.end()}; }

}  // namespace

TEST_CASE("idx: arrays of one, two and three axes") {
  const Bytes labels = {0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 255};
  CHECK(parse_idx(labels, "f").shape() == Shape{3});
  CHECK(contents(parse_idx(labels, "f", 1)) == Bytes{9, 0, 255});

  const Bytes matrix = {0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 8};
  CHECK(parse_idx(matrix, "f", 2).shape() == Shape{1, 2});
  CHECK(contents(parse_idx(matrix, "f")) == Bytes{7, 8});

  const Bytes images = idx(0x00000803, {2, 3, 4}, 24);
  const auto view = parse_idx(images, "f", 3);
  CHECK(view.shape() == Shape{2, 3, 4});
  CHECK(view.data() == images.data() + 16);  // borrowed
  CHECK(view[23] == 70);

  const Bytes wide = idx(0x00000801, {300}, 300);  // an extent that takes two bytes
  CHECK(parse_idx(wide, "f", 1).shape() == Shape{300});
}

TEST_CASE("idx: refuses other element types and other ranks") {
  const auto refuses = [](std::uint32_t magic, int rank, const char* message) {
    const Bytes bytes = idx(magic, {1, 1, 1}, 1);
    CHECK_THROWS_WITH_AS(parse_idx(bytes, "d/f", rank), message, std::runtime_error);
  };
  refuses(0x00000d03, 3,
          "d/f: at byte 0: expected the magic number 0x00000803 (idx of unsigned bytes), got 0x00000d03");
  refuses(0x00000801, 3,
          "d/f: at byte 0: expected the magic number 0x00000803 (idx of unsigned bytes), got 0x00000801");
  refuses(0x00000803, 1,
          "d/f: at byte 0: expected the magic number 0x00000801 (idx of unsigned bytes), got 0x00000803");
  refuses(0x03080000, 3,
          "d/f: at byte 0: expected the magic number 0x00000803 (idx of unsigned bytes), got 0x03080000");
  const std::string any =
      "d/f: at byte 0: expected the magic number 0x00000801 to 0x00000803 (idx of unsigned bytes), got ";
  refuses(0x00000800, 0, (any + "0x00000800").c_str());
  refuses(0x00000804, 0, (any + "0x00000804").c_str());
  refuses(0x00000903, 0, (any + "0x00000903").c_str());
  refuses(0xFFFFFFFF, 0, (any + "0xffffffff").c_str());
}

TEST_CASE("idx: a rank that does not exist is the caller's mistake") {
  CHECK_THROWS_WITH_AS(parse_idx({}, "f", 4), "parse_idx: expected a rank of 1 to 3, or 0 for any, got 4",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(parse_idx({}, "f", -1), "parse_idx: expected a rank of 1 to 3, or 0 for any, got -1",
                       std::invalid_argument);
}

TEST_CASE("idx: refuses absurd dimensions without allocating for them") {
  const auto refuses = [](const std::vector<std::uint32_t>& extents, const char* message) {
    const Bytes bytes = idx(0x00000803, extents, 10);
    CHECK_THROWS_WITH_AS(parse_idx(bytes, "f"), message, std::runtime_error);
  };
  const std::uint32_t most = 0xFFFFFFFF;
  refuses({most, most, most}, "f: at byte 12: expected at most 1099511627776, got 4294967295 times 4294967295");
  refuses({60000, 28, most}, "f: at byte 16: expected at most 1099511627776, got 1680000 times 4294967295");
  refuses({most, 16, 16}, "f: at byte 16: expected 1099511627520 more bytes, got 10 (the file is truncated)");
  refuses({0, 28, 28}, "f: at byte 4: expected an extent of at least 1 on axis 0, got 0");
  refuses({most, most, 0}, "f: at byte 12: expected at most 1099511627776, got 4294967295 times 4294967295");
  refuses({2, 0, 5}, "f: at byte 8: expected an extent of at least 1 on axis 1, got 0");
  refuses({1, 5, 0}, "f: at byte 12: expected an extent of at least 1 on axis 2, got 0");
}

TEST_CASE("idx: refuses fewer and more bytes than the dimensions say") {
  const Bytes little = idx(0x00000803, {2, 3, 2}, 11), much = idx(0x00000803, {2, 3, 2}, 14);
  CHECK_THROWS_WITH_AS(parse_idx(little, "f"), "f: at byte 16: expected 12 more bytes, got 11 (the file is truncated)",
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(parse_idx(much, "f"), "f: at byte 28: expected the end, got 2 more bytes", std::runtime_error);
}

TEST_CASE("idx: every truncation is refused") {
  const Bytes whole = idx(0x00000803, {2, 3, 2}, 12);
  REQUIRE(parse_idx(whole, "f").size() == 12);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    // An allocation of exactly this size, so that the address sanitizer sees a read past the end.
    const auto part = std::make_unique<std::uint8_t[]>(size);
    std::copy_n(whole.begin(), size, part.get());
    CHECK_THROWS_AS(parse_idx({part.get(), size}, "f"), std::runtime_error);
  }
}

TEST_CASE("idx: every changed byte of the header is refused, a changed element is read") {
  const Bytes whole = idx(0x00000803, {2, 3, 2}, 12);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      CAPTURE(at);
      CAPTURE(change);
      Bytes bytes = whole;
      bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ change);
      if (at < 16) {
        REQUIRE_THROWS_AS(parse_idx(bytes, "f"), std::runtime_error);
      } else {
        REQUIRE(contents(parse_idx(bytes, "f")) == Bytes(bytes.begin() + 16, bytes.end()));
      }
    }
  }
}
