/// \file
/// Elementwise loops: a formula, written once for registers of any type, applied to whole arrays.
#pragma once

#include <algorithm>
#include <type_traits>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Elements per chunk of work: a microsecond or more, well above what sharing it costs.
inline constexpr Index elementwise_grain = 8192;

namespace detail {

// These loops take everything by value, so that the compiler knows that no store changes it, and keeps it in registers.

template <class T, class Arch, class F, class... X>
void map_range(Range range, F f, T* y, const X*... x) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  Index i = range.first;
  for (; i + lanes <= range.last; i += lanes) simd::store(y + i, f(simd::load<T, Arch>(x + i)...));
  if (i < range.last) {
    const Index rest = range.last - i;
    simd::store_part(y + i, f(simd::load_part<T, Arch>(x + i, rest)...), rest);
  }
}

template <class T, class Arch, class F>
void map_row(Index columns, F f, T* y, const T* x, const T* v) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  Index c = 0;
  for (; c + lanes <= columns; c += lanes) {
    simd::store(y + c, f(simd::load<T, Arch>(x + c), simd::load<T, Arch>(v + c)));
  }
  if (c < columns) {
    const Index rest = columns - c;
    simd::store_part(y + c, f(simd::load_part<T, Arch>(x + c, rest), simd::load_part<T, Arch>(v + c, rest)), rest);
  }
}

/// The sum of a_i b_i.
template <class T, class Arch>
T dot(Index size, const T* a, const T* b) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  simd::Batch<T, Arch> sum(T(0));
  Index i = 0;
  for (; i + lanes <= size; i += lanes) sum = simd::fma(simd::load<T, Arch>(a + i), simd::load<T, Arch>(b + i), sum);
  if (i < size) sum = simd::fma(simd::load_part<T, Arch>(a + i, size - i), simd::load_part<T, Arch>(b + i, size - i), sum);
  return simd::sum(sum);
}

/// Calls body(c, read, write) for each register of channels, from c on, the last of which may be shorter.
template <class T, class Arch, class Body>
void for_each_channel_register(Index channels, const Body& body) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  for (Index c = 0; c < channels; c += lanes) {
    const Index count = std::min(lanes, channels - c);
    body(
        c, [count](const T* p) { return simd::load_up_to<T, Arch>(p, count); },
        [count](T* p, const simd::Batch<T, Arch>& v) { simd::store_up_to(p, v, count); });
  }
}

/// The same for `side_by_side` registers at once as long as there are so many, then one by one: body(c, registers, read, write), of which `registers`
/// is a constant. Sums along the rows then do not wait for one another, and cache lines are read as wholes.
template <class T, class Arch, Index side_by_side, class Body>
void for_each_channel_block(Index channels, const Body& body) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  Index c = 0;
  for (; c + side_by_side * lanes <= channels; c += side_by_side * lanes) {
    body(
        c, std::integral_constant<Index, side_by_side>(), [](const T* p) { return simd::load<T, Arch>(p); },
        [](T* p, const simd::Batch<T, Arch>& v) { simd::store(p, v); });
  }
  for_each_channel_register<T, Arch>(channels - c, [&](Index rest, const auto& read, const auto& write) {
    body(c + rest, std::integral_constant<Index, 1>(), read, write);
  });
}

}  // namespace detail

/// y_i = f(x_i, ...) for i in [0, size): `f` takes and returns registers. Inputs may be y itself.
template <class T, class Arch = simd::Native, class F, class... X>
void map(const Threads& threads, Index size, const F& f, T* y, const X*... x) noexcept {
  parallel_ranges(threads, size, elementwise_grain, [&](Range range) { detail::map_range<T, Arch>(range, f, y, x...); });
}

/// y_i = f(x_i, ...) + beta y_i with beta 0 (y is not read) or 1.
template <class T, class Arch = simd::Native, class F, class... X>
void map_accumulate(const Threads& threads, Index size, const F& f, T beta, T* y, const X*... x) noexcept {
  if (beta == T(0)) {
    map<T, Arch>(threads, size, f, y, x...);
  } else {
    map<T, Arch>(
        threads, size, [&f](const auto& old, const auto&... v) { return old + f(v...); }, y, y, x...);
  }
}

/// y[r, c] = f(x[r, c], v[c]) for x, y [rows, columns] and one number v[c] per column.
template <class T, class Arch = simd::Native, class F>
void map_columns(const Threads& threads, Index rows, Index columns, const F& f, T* y, const T* x, const T* v) noexcept {
  if (columns == 0) return;
  parallel_ranges(threads, rows, std::max<Index>(1, elementwise_grain / columns), [&](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      detail::map_row<T, Arch>(columns, f, y + r * columns, x + r * columns, v);
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
