#include "tombola/core/crc64.hpp"

#include <doctest/doctest.h>

#include <string_view>
#include <vector>

using namespace tombola;

namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// The definition, one bit at a time.
std::uint64_t crc64_by_bits(std::span<const std::uint8_t> bytes) {
  std::uint64_t state = ~std::uint64_t{0};
  for (const std::uint8_t byte : bytes) {
    state ^= byte;
    for (int bit = 0; bit < 8; ++bit) state = (state & 1) != 0 ? state >> 1 ^ 0xC96C5795D7870F42 : state >> 1;
  }
  return ~state;
}

}  // namespace

TEST_CASE("crc64: the check value of CRC-64/XZ") {
  CHECK(crc64(bytes_of("123456789")) == 0x995DC9BBDF1939FA);
  CHECK(crc64({}) == 0);
}

TEST_CASE("crc64: every length and every cut agree with the definition") {
  std::vector<std::uint8_t> bytes(70);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(37 * i + 11);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const std::span<const std::uint8_t> part(bytes.data(), size);
    const std::uint64_t expected = crc64_by_bits(part);
    CHECK(crc64(part) == expected);
    for (std::size_t cut = 0; cut <= size; cut += 5) {
      Crc64 crc;
      crc.update(part.first(cut));
      crc.update(part.subspan(cut));
      CHECK(crc.value() == expected);
    }
  }
}
