/// \file
/// Normalisation over rows, channel by channel: moments, forward and backward, with an optional ReLU.
#pragma once

#include <algorithm>

#include "tombola/core/memory.hpp"
#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

/// Rows of a chunk: what it reads stays in the second-level cache between two passes.
inline Index norm_rows(Index channels) noexcept { return std::max<Index>(1, 32768 / std::max<Index>(1, channels)); }
inline Index norm_chunks(Index rows, Index channels) noexcept { return divide_up(rows, norm_rows(channels)); }

/// Two sums for each channel over all rows, first [channels] and second [channels]: body(r, c, read, a, b) adds the terms of row r and the
/// channels from c on. Chunks of rows have sums of their own, joined in order, in double. Throws `std::bad_alloc`.
template <class T, class Arch, class Body>
void sums_over_rows(const Threads& threads, Workspace& scratch, Index rows, Index channels, const Body& body, T* first, T* second) {
  const Index chunks = norm_chunks(rows, channels);
  T* parts = scratch.take<T>(static_cast<std::size_t>(2 * chunks * channels));  // [chunk][2][channels]
  parallel_ranges(threads, rows, norm_rows(channels), [&](Range range, Index chunk) {
    T* part = parts + chunk * 2 * channels;
    for_each_channel_block<T, Arch, 2>(channels, [=, own = body](Index c, auto registers, const auto& read, const auto& write) {
      constexpr Index count = decltype(registers)::value, lanes = simd::width<T, Arch>;
      simd::Batch<T, Arch> a[count], b[count];
      for (Index j = 0; j < count; ++j) a[j] = b[j] = simd::Batch<T, Arch>(T(0));
      for (Index r = range.first; r < range.last; ++r) {
#pragma GCC unroll 2
        for (Index j = 0; j < count; ++j) own(r, c + j * lanes, read, a[j], b[j]);
      }
      for (Index j = 0; j < count; ++j) {
        write(part + c + j * lanes, a[j]);
        write(part + channels + c + j * lanes, b[j]);
      }
    });
  });
  for (Index c = 0; c < channels; ++c) {
    double a = 0, b = 0;
    for (Index chunk = 0; chunk < chunks; ++chunk) {
      a += static_cast<double>(parts[chunk * 2 * channels + c]);
      b += static_cast<double>(parts[(chunk * 2 + 1) * channels + c]);
    }
    first[c] = static_cast<T>(a);
    second[c] = static_cast<T>(b);
  }
}

}  // namespace detail

/// mean[c] and variance[c] = mean of (x[r, c] - mean[c])^2 over the rows of x [rows, channels], rows > 0.
/// Chunks of rows have their own mean and sum of squares, joined in order. Throws `std::bad_alloc`.
/// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", Amer. Statist. 1983, equation 2.1.
template <class T, class Arch = simd::Native>
void column_moments(const Threads& threads, Workspace& scratch, Index rows, Index channels, const T* x, T* mean, T* variance) {
  const Index chunks = detail::norm_chunks(rows, channels), height = detail::norm_rows(channels);
  T* parts = scratch.take<T>(static_cast<std::size_t>(2 * chunks * channels));
  parallel_ranges(threads, rows, height, [&](Range range, Index chunk) {
    T* part = parts + chunk * 2 * channels;
    const T scale = T(1) / static_cast<T>(range.size());
    detail::for_each_channel_block<T, Arch, 4>(channels, [=](Index c, auto registers, const auto& read, const auto& write) {
      using V = simd::Batch<T, Arch>;
      constexpr Index count = decltype(registers)::value, lanes = simd::width<T, Arch>;
      V middle[count], sum[count], squares[count];
      for (Index j = 0; j < count; ++j) {
        middle[j] = read(x + range.first * channels + c + j * lanes);
        sum[j] = squares[j] = V(T(0));
      }
      for (Index r = range.first; r < range.last; ++r) {  // distances from the first row: numbers far from zero keep their digits
#pragma GCC unroll 4
        for (Index j = 0; j < count; ++j) sum[j] = sum[j] + (read(x + r * channels + c + j * lanes) - middle[j]);
      }
      for (Index j = 0; j < count; ++j) middle[j] = middle[j] + sum[j] * V(scale);
      for (Index r = range.first; r < range.last; ++r) {
#pragma GCC unroll 4
        for (Index j = 0; j < count; ++j) {
          const V away = read(x + r * channels + c + j * lanes) - middle[j];
          squares[j] = simd::fma(away, away, squares[j]);
        }
      }
      for (Index j = 0; j < count; ++j) {
        write(part + c + j * lanes, middle[j]);
        write(part + channels + c + j * lanes, squares[j]);
      }
    });
  });
  for (Index c = 0; c < channels; ++c) {
    double count = 0, middle = 0, squares = 0;
    for (Index chunk = 0; chunk < chunks; ++chunk) {
      const auto more = static_cast<double>(std::min(height, rows - chunk * height));
      const double away = static_cast<double>(parts[chunk * 2 * channels + c]) - middle;
      squares += static_cast<double>(parts[(chunk * 2 + 1) * channels + c]) + away * away * count * more / (count + more);
      middle += away * more / (count + more);
      count += more;
    }
    mean[c] = static_cast<T>(middle);
    variance[c] = static_cast<T>(squares / count);
  }
}

/// y[r, c] = x[r, c] scale[c] + shift[c] (+ residual[r, c], unless it is null), or 0 where that is negative if `relu`.
template <class T, class Arch = simd::Native>
void scale_and_shift(const Threads& threads, Index rows, Index channels, const T* x, const T* scale, const T* shift, const T* residual,
                     bool relu, T* y) noexcept {
  parallel_ranges(threads, rows, detail::norm_rows(channels), [&](Range range) {
    detail::for_each_channel_register<T, Arch>(channels, [=](Index c, const auto& read, const auto& write) {
      using V = simd::Batch<T, Arch>;
      const V factor = read(scale + c), term = read(shift + c), least(relu ? T(0) : -std::numeric_limits<T>::infinity());
      for (Index at = range.first * channels + c; at < range.last * channels; at += channels) {
        const V z = simd::fma(read(x + at), factor, term);
        write(y + at, simd::max(least, residual == nullptr ? z : z + read(residual + at)));
      }
    });
  });
}

/// The backward step of y = scale x + shift with scale = weight / sqrt(variance + epsilon), shift = bias - mean scale, where mean and
/// variance are those of x: with dz = dy where y > 0 or `relu` is false, else 0,
///   dbias = sum_r dz,  dweight = sum_r dz n,  dx = scale (dz - (dbias + n dweight) / rows),  dresidual = dz,  n = (x - mean) inverse.
/// dx is written, or added to if `add`. Where the moments are constants (`constant`), dx = scale dz. Throws `std::bad_alloc`.
/// Source: Ioffe, Szegedy, "Batch normalization", ICML 2015, section 3.
template <class T>
struct BatchNormBackward {
  const T *x, *dy;
  const T *mean, *inverse;  ///< inverse = 1 / sqrt(variance + epsilon)
  const T *scale, *shift;
  bool relu = false, constant = false, add = false;
  const T* y = nullptr;  ///< the result, where it is not a function of x alone: a residual was added
  T* dresidual = nullptr;
  bool add_residual = false;  ///< to what is there
};

template <class T, class Arch = simd::Native>
void batch_norm_backward(const Threads& threads, Workspace& scratch, Index rows, Index channels, const BatchNormBackward<T>& of, T* dx,
                         T* dweight, T* dbias) {
  using V = simd::Batch<T, Arch>;
  const auto dz = [of](Index at, Index c, const auto& read) {
    const V dy = read(of.dy + at);
    if (!of.relu) return dy;
    const V y = of.y != nullptr ? read(of.y + at) : simd::fma(read(of.x + at), read(of.scale + c), read(of.shift + c));
    return simd::select(y > V(T(0)), dy, V(T(0)));
  };
  const auto add_row = [of, dz, channels](Index r, Index c, const auto& read, V& sum, V& product) {
    const Index at = r * channels + c;
    const V g = dz(at, c, read);
    sum = sum + g;
    product = simd::fma(g, (read(of.x + at) - read(of.mean + c)) * read(of.inverse + c), product);
  };
  detail::sums_over_rows<T, Arch>(threads, scratch, rows, channels, add_row, dbias, dweight);
  if (dx == nullptr && of.dresidual == nullptr) return;
  const T per_row = of.constant ? T(0) : T(1) / static_cast<T>(rows);
  parallel_ranges(threads, rows, detail::norm_rows(channels), [&](Range range) {
    detail::for_each_channel_register<T, Arch>(channels, [=](Index c, const auto& read, const auto& write) {
      const V factor = read(of.scale + c), mean = read(of.mean + c);
      const V common = read(dbias + c) * V(per_row), slope = read(dweight + c) * read(of.inverse + c) * V(per_row);
      for (Index r = range.first; r < range.last; ++r) {
        const Index at = r * channels + c;
        const V g = dz(at, c, read);
        if (dx != nullptr) {
          // What does not depend on the row is left out where there is none: 0 times an infinite sum would reach every row.
          const V part = factor * (of.constant ? g : g - simd::fma(read(of.x + at) - mean, slope, common));
          write(dx + at, of.add ? read(dx + at) + part : part);
        }
        if (of.dresidual != nullptr) write(of.dresidual + at, of.add_residual ? read(of.dresidual + at) + g : g);
      }
    });
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
