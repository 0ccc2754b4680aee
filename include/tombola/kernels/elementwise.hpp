/// \file
/// Elementwise loops: a formula, written once for registers of any type, applied to whole arrays.
#pragma once

#include <algorithm>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Elements per chunk of work: about 5 microseconds, well above what starting a thread costs.
inline constexpr Index elementwise_grain = 16384;

/// y_i = f(x_i, ...) for i in [0, size): `f` takes and returns registers. Inputs may be y itself.
template <class T, class Arch = simd::Native, class F, class... X>
void map(int threads, Index size, const F& f, T* y, const X*... x) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  parallel_ranges(threads, size, elementwise_grain, [&](Range range) {
    Index i = range.first;
    for (; i + lanes <= range.last; i += lanes) simd::store(y + i, f(simd::load<T, Arch>(x + i)...));
    if (i < range.last) {
      const Index rest = range.last - i;
      simd::store_part(y + i, f(simd::load_part<T, Arch>(x + i, rest)...), rest);
    }
  });
}

/// y_i = f(x_i, ...) + beta y_i with beta 0 (y is not read) or 1.
template <class T, class Arch = simd::Native, class F, class... X>
void map_accumulate(int threads, Index size, const F& f, T beta, T* y, const X*... x) noexcept {
  if (beta == T(0)) {
    map<T, Arch>(threads, size, f, y, x...);
  } else {
    map<T, Arch>(
        threads, size, [&f](const auto& old, const auto&... v) { return old + f(v...); }, y, y, x...);
  }
}

/// y[r, c] = f(x[r, c], v[c]) for x, y [rows, columns] and one number v[c] per column.
template <class T, class Arch = simd::Native, class F>
void map_columns(int threads, Index rows, Index columns, const F& f, T* y, const T* x, const T* v) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  if (columns == 0) return;
  parallel_ranges(threads, rows, std::max<Index>(1, elementwise_grain / columns), [&](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      T* out = y + r * columns;
      const T* in = x + r * columns;
      Index c = 0;
      for (; c + lanes <= columns; c += lanes) {
        simd::store(out + c, f(simd::load<T, Arch>(in + c), simd::load<T, Arch>(v + c)));
      }
      if (c < columns) {
        const Index rest = columns - c;
        simd::store_part(out + c, f(simd::load_part<T, Arch>(in + c, rest), simd::load_part<T, Arch>(v + c, rest)),
                         rest);
      }
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
