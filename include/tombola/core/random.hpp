/// \file
/// Counter-based random numbers: every draw is a pure function of (seed, purpose, id, step, index), in any order and on
/// any machine.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// What a stream is for; part of the counter, so that streams never overlap. The values are part of the ticket format.
enum class Purpose : std::uint32_t {
  weights = 0,
  gate_start = 1,
  gate_noise = 2,
  order = 3,
  augmentation = 4,
  control = 5
};

/// Philox4x32-10: four words for each 128-bit counter and 64-bit key.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
struct Philox {
  using Words = std::array<std::uint32_t, 4>;
  static constexpr std::uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
  static constexpr std::uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u};
  static constexpr int rounds = 10;

  static constexpr Words block(Words c, std::uint64_t key) noexcept {
    auto k0 = static_cast<std::uint32_t>(key);
    auto k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < rounds; ++round) {
      const std::uint64_t p0 = std::uint64_t{multiplier[0]} * c[0];
      const std::uint64_t p1 = std::uint64_t{multiplier[1]} * c[2];
      c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
           static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += weyl[0];
      k1 += weyl[1];
    }
    return c;
  }
};

/// The words of one (seed, purpose, id, step): word i is word i mod 4 of the Philox block with the counter
/// (floor(i / 4), id, step, purpose) under the key `seed`. 2^34 words.
struct Stream {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::weights;
  std::uint32_t id = 0;    ///< which layer, or which use of the purpose
  std::uint32_t step = 0;  ///< training step or epoch

  Philox::Words block(std::uint32_t number) const noexcept {
    return Philox::block({number, id, step, static_cast<std::uint32_t>(purpose)}, seed);
  }
  std::uint32_t word(std::uint64_t i) const noexcept { return block(static_cast<std::uint32_t>(i / 4))[i % 4]; }
};

/// Reads a stream's words one after the other.
class Sequence {
 public:
  explicit Sequence(const Stream& stream) noexcept : stream_(stream) {}

  std::uint32_t next() noexcept {
    if (used_ == 4) {
      words_ = stream_.block(number_++);
      used_ = 0;
    }
    return words_[used_++];
  }
  /// Uniform in [0, bound), without bias, for 1 <= bound < 2^32.
  /// Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 2019.
  std::uint32_t below(std::uint32_t bound) noexcept {
    std::uint64_t product = std::uint64_t{next()} * bound;
    if (static_cast<std::uint32_t>(product) < bound) {
      const std::uint32_t least = (0u - bound) % bound;
      while (static_cast<std::uint32_t>(product) < least) product = std::uint64_t{next()} * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

 private:
  Stream stream_;
  Philox::Words words_{};
  std::uint32_t number_ = 0;
  unsigned used_ = 4;
};

/// A uniformly random order of 0 .. count - 1 (Fisher and Yates). Throws `std::invalid_argument` unless count < 2^32.
inline std::vector<std::uint32_t> permutation(const Stream& stream, Index count) {
  require(count >= 0 && count < Index{1} << 32, "permutation: expected 0 to 2^32 - 1 elements, got ", count);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0u);
  Sequence draws(stream);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[draws.below(static_cast<std::uint32_t>(i))]);
  return order;
}

}  // namespace tombola::inline TOMBOLA_ISA
