/// \file
/// Sums in a fixed order: within chunks that depend on sizes alone, then over the chunks one after the other.
#pragma once

#include <algorithm>
#include <vector>

#include "tombola/core/memory.hpp"
#include "tombola/core/parallel.hpp"
#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

inline constexpr Index reduce_grain = 16384;

/// How many numbers `reduce` takes from its workspace.
inline constexpr Index reduce_workspace(Index size) noexcept { return divide_up(size, reduce_grain); }

/// sum_i f(x_i, ...): `f` takes and returns registers, and gives zero for zeros (the padding of the tail). Within a chunk the
/// sum is kept in T, between chunks in double.
template <class T, class Arch = simd::Native, class F, class... X>
double reduce(const Threads& threads, Workspace& scratch, Index size, const F& f, const X*... x) {
  constexpr Index lanes = simd::width<T, Arch>;
  const Index chunks = reduce_workspace(size);
  auto* sums = scratch.take<double>(static_cast<std::size_t>(chunks));
  parallel_ranges(threads, size, reduce_grain, [&](Range range, Index chunk) {
    simd::Batch<T, Arch> sum(T(0));
    Index i = range.first;
    for (; i + lanes <= range.last; i += lanes) sum = sum + f(simd::load<T, Arch>(x + i)...);
    if (i < range.last) sum = sum + f(simd::load_part<T, Arch>(x + i, range.last - i)...);
    sums[chunk] = static_cast<double>(simd::sum(sum));
  });
  double total = 0;
  for (Index chunk = 0; chunk < chunks; ++chunk) total += sums[chunk];
  return total;
}

/// sums[c] = sum_r f(x[r, c], ...) + beta sums[c], beta 0 (not read) or 1, for arrays [rows, columns]: one sum per column. Rows are added in order within
/// chunks of them, and the chunks' sums in order.
template <class T, class Arch = simd::Native, class F, class... X>
void reduce_rows(const Threads& threads, Workspace& scratch, Index rows, Index columns, const F& f, T beta, T* sums, const X*... x) {
  const Index height = std::max<Index>(1, reduce_grain / std::max<Index>(1, columns)), chunks = divide_up(rows, height);
  T* parts = scratch.take<T>(static_cast<std::size_t>(chunks * columns));
  parallel_ranges(threads, rows, height, [&](Range range, Index chunk) {
    detail::for_each_channel_register<T, Arch>(columns, [=, own = f](Index c, const auto& read, const auto& write) {
      simd::Batch<T, Arch> sum(T(0));
      for (Index r = range.first; r < range.last; ++r) sum = sum + own(read(x + r * columns + c)...);
      write(parts + chunk * columns + c, sum);
    });
  });
  parallel_ranges(threads, columns, std::max<Index>(64, reduce_grain / std::max<Index>(1, chunks)), [&](Range range) {
    for (Index c = range.first; c < range.last; ++c) {
      T sum = beta == T(0) ? T(0) : sums[c];
      for (Index chunk = 0; chunk < chunks; ++chunk) sum += parts[chunk * columns + c];
      sums[c] = sum;
    }
  });
}

/// sums[r] = sum_c f(x[r, c], ...) for arrays [rows, columns]: one sum per row. `f` gives zero for zeros.
template <class T, class Arch = simd::Native, class F, class... X>
void reduce_columns(const Threads& threads, Index rows, Index columns, const F& f, T* sums, const X*... x) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  parallel_ranges(threads, rows, std::max<Index>(1, reduce_grain / std::max<Index>(1, columns)), [&](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      simd::Batch<T, Arch> sum(T(0));
      Index c = 0;
      for (; c + lanes <= columns; c += lanes) sum = sum + f(simd::load<T, Arch>(x + r * columns + c)...);
      if (c < columns) sum = sum + f(simd::load_part<T, Arch>(x + r * columns + c, columns - c)...);
      sums[r] = simd::sum(sum);
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
