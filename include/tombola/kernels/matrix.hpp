/// \file
/// Matrix: an operand of a product, borrowed, row-major or transposed.
#pragma once

#include <utility>

#include "tombola/core/parallel.hpp"
#include "tombola/core/view.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Element (i, j) lies at data[i * row_stride + j * column_stride]; one of the strides is 1.
template <class T>
struct Matrix {
  T* data = nullptr;
  Index rows = 0, columns = 0, row_stride = 0, column_stride = 1;

  Matrix transposed() const noexcept { return {data, columns, rows, column_stride, row_stride}; }
  operator Matrix<const T>() const noexcept requires(!std::is_const_v<T>) {
    return {data, rows, columns, row_stride, column_stride};
  }

  T* at(Index row, Index column) const noexcept { return data + row * row_stride + column * column_stride; }
  /// Some of the rows.
  Matrix rows_in(Range range) const noexcept { return {at(range.first, 0), range.size(), columns, row_stride, column_stride}; }
  /// A line is what is contiguous in memory: a row, or a column.
  bool lines_are_rows() const noexcept { return column_stride == 1; }
  /// From one line to the next.
  Index line_stride() const noexcept { return lines_are_rows() ? row_stride : column_stride; }
  /// Elements [first, first + count) of a line. A hook in the place of a matrix may write them to the buffer instead.
  const T* line(Index line, Index first, Index /*count*/, std::remove_const_t<T>* /*buffer*/) const noexcept {
    return data + line * line_stride() + first;
  }
};

/// All axes but the last are folded into the rows.
template <class T>
Matrix<T> matrix(View<T> view) noexcept {
  Index rows = 1;  // not Shape::rows, which has none where the last extent is 0
  for (int axis = 0; axis + 1 < view.shape().rank(); ++axis) rows *= view.shape()[axis];
  return {view.data(), rows, view.shape().last(), view.shape().last(), 1};
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
