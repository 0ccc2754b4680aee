/// \file
/// Products of matrices that stay in the cache: one thread, tile after tile, for kernels that are made of them.
#pragma once

#include <cassert>

#include "tombola/kernels/elementwise.hpp"
#include "tombola/kernels/gemm_pack.hpp"
#include "tombola/kernels/gemm_plan.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// The right factor b [k, n] of products, in panels of columns as the micro-kernel reads them: where it lies, or packed where it has
/// to be transposed or cannot be read by masks. The last column of a transposed b, if it alone would need another register, as of keys with
/// a class token, is multiplied by dot products: summed in another order than it would be further in.
template <class T, class Arch>
class Panels {
  using Tile = GemmTile<T, Arch>;
  static constexpr Index width = Tile::width, most_columns = Tile::widest * width;  // of a panel: low and wide tiles are fewer

 public:
  /// `scratch`: `Panels::scratch(k, n)` elements, as long as this is used.
  Panels(const Matrix<const T>& b, T* scratch) noexcept
      : depth_(b.rows),
        odd_(!b.lines_are_rows() && b.columns > width && b.columns % width == 1 ? b.at(0, b.columns - 1) : nullptr),
        count_(panels(whole(b))),
        columns_(whole(b), count_) {
    if (b.lines_are_rows() && (simd::is_avx512<Arch> || b.columns % width == 0)) {
      data_ = b.data;
      step_ = b.row_stride;
      return;
    }
    data_ = scratch;
    step_ = most_columns;
    packed_ = true;
    for (Index panel = 0; panel < count_; ++panel, scratch += most_columns * depth_) {
      const Range part = columns_[panel];
      if (b.lines_are_rows()) {
        pack_across_k<most_columns, Arch>(b, part, {0, depth_}, 1, [](Index) { return Index{0}; }, scratch, 0, scratch);
      } else {
        pack_along_k<most_columns, Arch>(b, part, {0, depth_}, scratch, scratch);
      }
    }
  }
  static constexpr Index scratch(Index k, Index n) noexcept { return panels(n) * most_columns * k; }

  /// c [m, n] = a b, or += a b if `add`, for a [m, k] read from its first row on. With a transposed b: a read along k, and not `add`.
  void multiply(Index m, const GemmRead<T>& a, const Matrix<T>& c, bool add) const noexcept {
    for (Index panel = 0; panel < count_; ++panel) {
      const Range columns = columns_[panel];
      const GemmRead<T> b{packed_ ? data_ + panel * most_columns * depth_ : data_ + columns.first, step_};
      const Index tiles = divide_up(m, Tile::rows_at(divide_up(columns.size(), width)));
      const EvenParts parts(m, tiles);
      for (Index tile = 0; tile < tiles; ++tile) {
        const Range rows = parts[tile];
        const GemmRead<T> of_rows{a.data + rows.first * (a.along_k ? a.step : 1), a.step, a.along_k};
        multiply_tile<T, Arch, GemmOnePiece, Tile::widest>(rows.size(), columns.size(), depth_, of_rows, b, c.at(rows.first, columns.first),
                                                           c.row_stride, add, {}, GemmAhead<T>::rows(a.step));
      }
    }
    if (odd_ == nullptr) return;
    assert(a.along_k && !add);
    for (Index i = 0; i < m; ++i) *c.at(i, c.columns - 1) = detail::dot<T, Arch>(depth_, a.data + i * a.step, odd_);
  }

 private:
  static constexpr Index panels(Index n) noexcept { return divide_up(n, most_columns); }
  Index whole(const Matrix<const T>& b) const noexcept { return b.columns - (odd_ != nullptr ? 1 : 0); }

  const Index depth_;
  const T* const odd_;
  const Index count_;
  const EvenUnits<width> columns_;
  const T* data_;
  Index step_;
  bool packed_ = false;
};

}  // namespace tombola::inline TOMBOLA_ISA::kernels
