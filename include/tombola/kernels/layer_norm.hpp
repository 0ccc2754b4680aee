/// \file
/// Normalisation of each row, forwards and backwards.
#pragma once

#include <algorithm>
#include <cmath>

#include "tombola/core/memory.hpp"
#include "tombola/kernels/batch_norm.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

/// sum of f(c) over the columns, a register at a time; f gives 0 where it is given 0 everywhere: past the end of the row.
template <class T, class Arch, class F>
T row_sum(Index columns, const F& f) noexcept {
  simd::Batch<T, Arch> sum(T(0));
  for_each_channel_register<T, Arch>(columns, [&](Index c, const auto& read, const auto&) { sum = sum + f(c, read); });
  return simd::sum(sum);
}

/// y = (x - mean) inverse weight + bias for one row.
template <class T, class Arch>
void normalise_row(Index columns, const T* x, const T* weight, const T* bias, T mean, T inverse, T* y) noexcept {
  using V = simd::Batch<T, Arch>;
  for_each_channel_register<T, Arch>(columns, [=](Index c, const auto& read, const auto& write) {
    const V n = (read(x + c) - V(mean)) * V(inverse);
    write(y + c, weight == nullptr ? n : simd::fma(n, read(weight + c), read(bias + c)));
  });
}

}  // namespace detail

/// y[r, c] = (x[r, c] - mean[r]) inverse[r] weight[c] + bias[c] with inverse = 1 / sqrt(variance + epsilon), mean and variance those of
/// row r. x, y [rows, columns], columns > 0; weight and bias [columns] or both null. Writes mean and inverse [rows].
template <class T, class Arch = simd::Native>
void layer_norm(const Threads& threads, Index rows, Index columns, const T* x, const T* weight, const T* bias, double epsilon, T* mean,
                T* inverse, T* y) noexcept {
  using V = simd::Batch<T, Arch>;
  parallel_ranges(threads, rows, detail::norm_rows(columns), [=](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      const T* row = x + r * columns;
      const T middle = detail::row_sum<T, Arch>(columns, [row](Index c, const auto& read) { return read(row + c); }) / static_cast<T>(columns);
      T squares = T(0);
      {
        V sum(T(0));  // past the end of the row, x - mean is not 0
        Index c = 0;
        for (; c + simd::width<T, Arch> <= columns; c += simd::width<T, Arch>) {
          const V away = simd::load<T, Arch>(row + c) - V(middle);
          sum = simd::fma(away, away, sum);
        }
        squares = simd::sum(sum);
        for (; c < columns; ++c) squares += (row[c] - middle) * (row[c] - middle);
      }
      const T factor = static_cast<T>(1 / std::sqrt(static_cast<double>(squares) / static_cast<double>(columns) + epsilon));
      mean[r] = middle;
      inverse[r] = factor;
      detail::normalise_row<T, Arch>(columns, row, weight, bias, middle, factor, y + r * columns);
    }
  });
}

/// The same with mean and inverse known: the same bits.
template <class T, class Arch = simd::Native>
void normalise_rows(const Threads& threads, Index rows, Index columns, const T* x, const T* weight, const T* bias, const T* mean,
                    const T* inverse, T* y) noexcept {
  parallel_ranges(threads, rows, detail::norm_rows(columns), [=](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      detail::normalise_row<T, Arch>(columns, x + r * columns, weight, bias, mean[r], inverse[r], y + r * columns);
    }
  });
}

/// The backward step: with n = (x - mean) inverse and g = dy weight,
///   dx = inverse (g - (sum_c g + n sum_c g n) / columns),  dweight = sum_r dy n,  dbias = sum_r dy.
/// dx [rows, columns] is written, or added to if `add`, unless it is null; dweight and dbias [columns] are written unless both are null.
/// Throws `std::bad_alloc`.
/// Source: Ba, Kiros, Hinton, "Layer normalization", 2016.
template <class T>
struct LayerNormBackward {
  const T *x, *dy, *mean, *inverse;
  const T* weight;  ///< or null: 1
  bool add = false;
};

template <class T, class Arch = simd::Native>
void layer_norm_backward(const Threads& threads, Workspace& scratch, Index rows, Index columns, const LayerNormBackward<T>& of, T* dx,
                         T* dweight, T* dbias) {
  using V = simd::Batch<T, Arch>;
  if (dweight != nullptr) {
    const auto add_row = [of, columns](Index r, Index c, const auto& read, V& sum, V& product) {
      const V dy = read(of.dy + r * columns + c);
      sum = sum + dy;
      product = simd::fma(dy, (read(of.x + r * columns + c) - V(of.mean[r])) * V(of.inverse[r]), product);
    };
    detail::sums_over_rows<T, Arch>(threads, scratch, rows, columns, add_row, dbias, dweight);
  }
  if (dx == nullptr) return;
  parallel_ranges(threads, rows, detail::norm_rows(columns), [=](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      const T *x = of.x + r * columns, *dy = of.dy + r * columns;
      const V mean(of.mean[r]), inverse(of.inverse[r]);
      const auto g = [=](Index c, const auto& read) { return of.weight == nullptr ? read(dy + c) : read(dy + c) * read(of.weight + c); };
      const T share = T(1) / static_cast<T>(columns);
      const V common(share * detail::row_sum<T, Arch>(columns, [=](Index c, const auto& read) { return g(c, read); }));
      const V slope(share * detail::row_sum<T, Arch>(columns, [=](Index c, const auto& read) { return g(c, read) * ((read(x + c) - mean) * inverse); }));
      detail::for_each_channel_register<T, Arch>(columns, [=](Index c, const auto& read, const auto& write) {
        const V n = (read(x + c) - mean) * inverse, part = inverse * (g(c, read) - simd::fma(n, slope, common));
        T* to = dx + r * columns + c;
        write(to, of.add ? read(to) + part : part);
      });
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
