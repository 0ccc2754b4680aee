/// \file
/// Bits: a packed array of booleans, such as the mask of a ticket.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// `size` booleans, 64 to a word, bit i of word i / 64 at position i mod 64; the bits past the end are zero.
class Bits {
 public:
  Bits() = default;
  /// All false. Throws `std::invalid_argument` if size < 0.
  explicit Bits(Index size) : size_(size) {
    require(size >= 0, "bits: expected a size of at least 0, got ", size);
    words_.resize(static_cast<std::size_t>(size / 64 + (size % 64 != 0)));
  }

  /// All true. Throws `std::invalid_argument` if size < 0.
  static Bits all(Index size) {
    Bits bits(size);
    for (Index i = 0; i < size; ++i) bits.set(i, true);
    return bits;
  }

  Index size() const noexcept { return size_; }
  bool operator[](Index i) const noexcept {
    assert(i >= 0 && i < size_);
    return (words_[static_cast<std::size_t>(i / 64)] >> (i % 64) & 1) != 0;
  }
  void set(Index i, bool value) noexcept {
    assert(i >= 0 && i < size_);
    auto& word = words_[static_cast<std::size_t>(i / 64)];
    word = (word & ~(std::uint64_t{1} << (i % 64))) | std::uint64_t{value} << (i % 64);
  }
  /// How many are true.
  Index count() const noexcept {
    return std::accumulate(words_.begin(), words_.end(), Index{0},
                           [](Index sum, std::uint64_t word) { return sum + std::popcount(word); });
  }
  std::uint64_t* words() noexcept { return words_.data(); }
  const std::uint64_t* words() const noexcept { return words_.data(); }
  friend bool operator==(const Bits&, const Bits&) = default;

 private:
  std::vector<std::uint64_t> words_;
  Index size_ = 0;
};

}  // namespace tombola::inline TOMBOLA_ISA
