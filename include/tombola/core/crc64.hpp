/// \file
/// Crc64: the checksum CRC-64/XZ, which finds every change of up to 64 adjacent bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// CRC-64/XZ of the bytes given so far: polynomial 0x42F0E1EBA9EA3693, bits reflected, all ones at the start and
/// exclusive-ored at the end. The nine characters "123456789" give 0x995DC9BBDF1939FA. Sixteen bytes a step.
/// Source: ECMA-182; Kounavis and Berry, "Novel table lookup-based algorithms for high-performance CRC generation",
/// IEEE Transactions on Computers 2008.
class Crc64 {
 public:
  [[gnu::noinline]] void update(std::span<const std::uint8_t> bytes) noexcept {
    const Tables& tables = Crc64::tables();
    std::uint64_t state = state_;
    const std::uint8_t* next = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 16; left -= 16, next += 16) {
      std::uint64_t sum = 0;
      for (unsigned i = 0; i < 8; ++i) {
        const auto byte = static_cast<std::uint8_t>(state >> (8 * i));
        sum ^= tables[15 - i][next[i] ^ byte] ^ tables[7 - i][next[8 + i]];
      }
      state = sum;
    }
    for (; left > 0; --left) state = tables[0][(state ^ *next++) & 0xFF] ^ state >> 8;
    state_ = state;
  }
  std::uint64_t value() const noexcept { return ~state_; }

 private:
  using Tables = std::array<std::array<std::uint64_t, 256>, 16>;

  /// tables()[k][b]: the remainder of byte b with k zero bytes after it. Computed at the first use, because compilers take long for it.
  static const Tables& tables() noexcept {
    static const Tables made = make_tables();
    return made;
  }
  static Tables make_tables() noexcept {
    constexpr std::uint64_t reflected_polynomial = 0xC96C5795D7870F42;
    Tables tables{};
    for (unsigned byte = 0; byte < 256; ++byte) {
      std::uint64_t state = byte;
      for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) != 0 ? reflected_polynomial : 0);
      tables[0][byte] = state;
    }
    for (unsigned k = 1; k < 16; ++k) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        const std::uint64_t state = tables[k - 1][byte];
        tables[k][byte] = tables[0][state & 0xFF] ^ state >> 8;
      }
    }
    return tables;
  }

  std::uint64_t state_ = ~std::uint64_t{0};
};

/// The CRC-64/XZ of the bytes.
inline std::uint64_t crc64(std::span<const std::uint8_t> bytes) noexcept {
  Crc64 crc;
  crc.update(bytes);
  return crc.value();
}

}  // namespace tombola::inline TOMBOLA_ISA
