/// \file
/// Softmax over rows, and softmax with cross-entropy in one pass.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

inline Index softmax_grain(Index columns) noexcept { return std::max<Index>(1, 8192 / std::max<Index>(1, columns)); }

/// The largest of x; any number where one is NaN.
template <class T, class Arch>
T maximum(Index columns, const T* x) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  T top = x[0];
  Index c = 0;
  if (columns >= lanes) {
    simd::Batch<T, Arch> tops = simd::load<T, Arch>(x);
    for (c = lanes; c + lanes <= columns; c += lanes) tops = simd::max(tops, simd::load<T, Arch>(x + c));
    top = simd::highest(tops);
  }
  for (; c < columns; ++c) top = std::max(top, x[c]);
  return top;
}

/// p_c = exp(x_c - top), and their sum; both NaN where x is. The padding of the tail counts for nothing.
template <class T, class Arch>
T exponentials(Index columns, const T* x, T top, T* p) noexcept {
  using V = simd::Batch<T, Arch>;
  V sum(T(0));
  for_each_channel_register<T, Arch>(columns, [&](Index c, const auto& read, const auto& write) {
    write(p + c, simd::exp_nonpositive(read(x + c) - V(top)));
    sum = sum + read(p + c);
  });
  return simd::sum(sum);
}

/// p_c = p_c / total.
template <class T, class Arch>
void divide(Index columns, T* p, T total) noexcept {
  for_each_channel_register<T, Arch>(columns, [&](Index c, const auto& read, const auto& write) {
    write(p + c, simd::divide(read(p + c), simd::Batch<T, Arch>(total)));
  });
}

}  // namespace detail

/// p[r, c] = exp(x[r, c]) / sum_j exp(x[r, j]).  x, p [rows, columns], columns > 0; p may be x.
template <class T, class Arch = simd::Native>
void softmax(const Threads& threads, Index rows, Index columns, const T* x, T* p) noexcept {
  parallel_ranges(threads, rows, detail::softmax_grain(columns), [&](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      const T* row = x + r * columns;
      const T top = detail::maximum<T, Arch>(columns, row);
      const T total = detail::exponentials<T, Arch>(columns, row, top, p + r * columns);
      detail::divide<T, Arch>(columns, p + r * columns, total);
    }
  });
}

/// dx[r, c] = p[r, c] (dp[r, c] - sum_j p[r, j] dp[r, j]) + beta dx[r, c], with beta 0 (dx is not read) or 1.
template <class T>
void softmax_backward(const Threads& threads, Index rows, Index columns, const T* p, const T* dp, T beta, T* dx) noexcept {
  parallel_ranges(threads, rows, detail::softmax_grain(columns), [&](Range range) {
    for (Index i = range.first * columns; i < range.last * columns; i += columns) {
      T dot = T(0);
      for (Index c = 0; c < columns; ++c) dot += p[i + c] * dp[i + c];
      for (Index c = 0; c < columns; ++c) dx[i + c] = p[i + c] * (dp[i + c] - dot) + (beta == T(0) ? T(0) : dx[i + c]);
    }
  });
}

/// losses[r] = -sum_c q_c log softmax(x[r])_c with q = (1 - smoothing) onehot(labels[r]) + smoothing / columns, and
/// p = softmax(x).  x, p [rows, columns], p not x; labels in [0, columns). Logits of -infinity are fine without smoothing.
template <class T, class Arch = simd::Native, class Label>
void cross_entropy(const Threads& threads, Index rows, Index columns, const T* x, const Label* labels, T smoothing, T* losses,
                   T* p) noexcept {
  parallel_ranges(threads, rows, detail::softmax_grain(columns), [&](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      const T* row = x + r * columns;
      const T top = detail::maximum<T, Arch>(columns, row);
      const T total = detail::exponentials<T, Arch>(columns, row, top, p + r * columns);
      detail::divide<T, Arch>(columns, p + r * columns, total);
      T mean = T(0);  // of x - top: what the logits have in common costs no accuracy
      for (Index c = 0; c < columns; ++c) mean += row[c] - top;
      mean /= static_cast<T>(columns);
      const T at_label = row[static_cast<Index>(labels[r])] - top;
      losses[r] = std::log(total) - (T(1) - smoothing) * at_label - (smoothing == T(0) ? T(0) : smoothing * mean);
    }
  });
}

/// dx[r, c] = scale (p[r, c] - q[r, c]) + beta dx[r, c], with q as above, and beta 0 (dx is not read) or 1.
template <class T, class Label>
void cross_entropy_backward(const Threads& threads, Index rows, Index columns, const T* p, const Label* labels, T smoothing,
                            T scale, T beta, T* dx) noexcept {
  const T off = smoothing / static_cast<T>(columns), on = T(1) - smoothing;
  parallel_ranges(threads, rows, detail::softmax_grain(columns), [&](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      for (Index c = 0; c < columns; ++c) {
        const Index i = r * columns + c;
        const T q = off + (c == static_cast<Index>(labels[r]) ? on : T(0));
        dx[i] = scale * (p[i] - q) + (beta == T(0) ? T(0) : dx[i]);
      }
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
