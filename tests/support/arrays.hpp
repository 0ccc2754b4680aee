/// \file
/// What kernel tests share: indices, sizes with every kind of tail, arrays that notice a write past their end, random numbers.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tombola/core/random.hpp"

namespace tombola::test {

/// An index of the library as one of a std::vector.
inline std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Every tail of every register, and sizes around the noise group of 64.
inline const std::vector<Index> sizes{0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 1000};

/// The same, and more than two chunks of a kernel that works in chunks of `grain`.
inline std::vector<Index> sizes_above(Index grain) {
  std::vector<Index> all = sizes;
  all.insert(all.end(), {grain, 2 * grain + 13});
  return all;
}

/// Numbers of threads that must not change a bit: one, as many as chunks, more than processors.
inline constexpr int thread_counts[] = {1, 2, 3, 7};

/// `size` elements, unaligned for registers, between two rows of a guard value that `intact` looks at.
template <class T>
class Guarded {
 public:
  explicit Guarded(Index size, T value = T(-77))
      : size_(size),
        all_(static_cast<std::size_t>(size + 2 * guards), guard) {
    std::fill_n(data(), size, value);
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(static_cast<Index>(values.size())) {
    std::copy(values.begin(), values.end(), data());
  }
  T* data() { return all_.data() + guards; }
  const T* data() const { return all_.data() + guards; }
  T& operator[](Index i) { return data()[i]; }
  const T& operator[](Index i) const { return data()[i]; }
  Index size() const { return size_; }
  /// Nothing outside of the elements was written.
  bool intact() const {
    for (Index i = 0; i < guards; ++i) {
      const auto before = static_cast<std::size_t>(i), after = static_cast<std::size_t>(guards + size_ + i);
      if (all_[before] != guard || all_[after] != guard) return false;
    }
    return true;
  }
  /// The elements have the same bits.
  friend bool operator==(const Guarded& a, const Guarded& b) {
    return a.size_ == b.size_ && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size_) * sizeof(T)) == 0;
  }

 private:
  static constexpr Index guards = 17;  // more than a register holds, and odd
  static constexpr T guard = T(12345);
  Index size_;
  std::vector<T> all_;
};

/// Numbers uniform in [low, high), the same in every run: word i of a stream with this id.
template <class T>
std::vector<T> uniform(Index count, double low, double high, std::uint32_t id = 0) {
  Sequence words({2026, Purpose::control, id, 0});
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(low + (high - low) * words.next() * 0x1p-32);
  return values;
}

/// The distance of `got` from `exact` in units of the last place that `exact` has in T.
template <class T>
double ulps(T got, long double exact) {
  if (std::isnan(got) || std::isnan(exact)) return std::isnan(got) && std::isnan(exact) ? 0 : 1e9;
  if (static_cast<long double>(got) == exact) return 0;
  const int exponent = std::max(std::ilogb(exact), std::numeric_limits<T>::min_exponent - 1);
  return static_cast<double>(std::abs(static_cast<long double>(got) - exact) /
                             std::ldexp(1.0L, exponent + 1 - std::numeric_limits<T>::digits));
}

/// The mean of a sample lies within five standard errors of the expected one. A run draws the same numbers every time;
/// five, so that a change of the streams' numbers fails a correct library once in 1.7 million times.
struct Sample {
  double count, mean, variance;  ///< variance of one draw

  bool agrees_with(double expected) const { return std::abs(mean - expected) <= 5 * std::sqrt(variance / count); }
};

}  // namespace tombola::test
