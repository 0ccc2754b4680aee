/// \file
/// Products of matrices that stay in the cache: one thread, tile after tile, for kernels that are made of them.
#pragma once

#include "tombola/kernels/gemm_pack.hpp"
#include "tombola/kernels/gemm_plan.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// The right factor b [k, n] of products, in panels of columns as the micro-kernel reads them: where it lies, or packed where it has
/// to be transposed or cannot be read by masks.
template <class T, class Arch>
class Panels {
  using Tile = GemmTile<T, Arch>;

 public:
  /// `scratch`: `Panels::scratch(k, n)` elements, as long as this is used.
  Panels(const Matrix<const T>& b, T* scratch) noexcept
      : depth_(b.rows),
        count_(panels(b.columns)),
        columns_(b.columns, count_) {
    if (b.lines_are_rows() && (simd::is_avx512<Arch> || b.columns % Tile::width == 0)) {
      data_ = b.data;
      step_ = b.row_stride;
      return;
    }
    data_ = scratch;
    step_ = Tile::columns;
    packed_ = true;
    for (Index panel = 0; panel < count_; ++panel, scratch += Tile::columns * depth_) {
      const Range part = columns_[panel];
      if (b.lines_are_rows()) {
        pack_across_k<Tile::columns, Arch>(b, part, {0, depth_}, 1, [](Index) { return Index{0}; }, scratch, scratch);
      } else {
        pack_along_k<Tile::columns, Arch>(b, part, {0, depth_}, scratch, scratch);
      }
    }
  }
  static constexpr Index scratch(Index k, Index n) noexcept { return panels(n) * Tile::columns * k; }

  /// c [m, n] = a b, or += a b if `add`, for a [m, k] read from its first row on.
  void multiply(Index m, const GemmRead<T>& a, const Matrix<T>& c, bool add) const noexcept {
    const Index tiles = divide_up(m, Tile::rows);
    const EvenParts parts(m, tiles);
    for (Index panel = 0; panel < count_; ++panel) {
      const Range columns = columns_[panel];
      const GemmRead<T> b{packed_ ? data_ + panel * Tile::columns * depth_ : data_ + columns.first, step_};
      for (Index tile = 0; tile < tiles; ++tile) {
        const Range rows = parts[tile];
        multiply_tile<T, Arch>(rows.size(), columns.size(), depth_, {a.data + rows.first * (a.along_k ? a.step : 1), a.step, a.along_k}, b,
                               c.at(rows.first, columns.first), c.row_stride, add);
      }
    }
  }

 private:
  static constexpr Index panels(Index n) noexcept { return divide_up(n, Tile::columns); }

  const Index depth_, count_;
  const EvenUnits<Tile::width> columns_;
  const T* data_;
  Index step_;
  bool packed_ = false;
};

}  // namespace tombola::inline TOMBOLA_ISA::kernels
