/// \file
/// Rows in another order: what cuts images into windows, and puts them together again.
#pragma once

#include <algorithm>

#include "tombola/core/parallel.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// y[r] = x[source(r)] + (y[r] if `add`) for rows of `columns` elements; zeros where source(r) is negative.
template <class T, class Source>
void gather_rows(const Threads& threads, Index rows, Index columns, const Source& source, const T* x, bool add, T* y) noexcept {
  constexpr Index grain = 8192;
  parallel_ranges(threads, rows, std::max<Index>(1, grain / std::max<Index>(1, columns)), [&](Range range) {
    for (Index r = range.first; r < range.last; ++r) {
      const Index from = source(r);
      T* to = y + r * columns;
      if (from < 0) {
        if (!add) std::fill_n(to, columns, T(0));
      } else if (add) {
        for (Index c = 0; c < columns; ++c) to[c] += x[from * columns + c];
      } else {
        std::copy_n(x + from * columns, columns, to);
      }
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
