/// \file
/// What a product accepts as an operand and as an epilogue, and when an operand is worth packing.
#pragma once

#include <concepts>

#include "tombola/kernels/matrix.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// An operand: a Matrix, or a hook that supplies the elements while they are packed.
template <class S, class T>
concept GemmOperand = requires(const S& source, Index i, T* buffer) {
  { source.rows } -> std::convertible_to<Index>;
  { source.columns } -> std::convertible_to<Index>;
  { source.lines_are_rows() } -> std::convertible_to<bool>;
  { source.line(i, i, i, buffer) } -> std::convertible_to<const T*>;
};

/// What happens to finished elements c(row, column ...) = values[0 ... count): nothing.
struct NoEpilogue {
  template <class T>
  void operator()(T* /*values*/, Index /*row*/, Index /*column*/, Index /*count*/) const noexcept {}
};

template <class S>
inline constexpr bool is_matrix = false;
template <class T>
inline constexpr bool is_matrix<Matrix<T>> = true;

/// Packing A pays where rows run along k and many panels reread them, or lie a multiple of a page apart, so that they
/// fall into the same places of the first-level cache; and where columns run across k, if a low tile uses little of
/// each cache line and the lines lie far apart, again in the same places, or are reread and too many for that cache.
template <class Tile, class A>
bool reads_a_directly([[maybe_unused]] const A& a, [[maybe_unused]] Index n) noexcept {
  if constexpr (is_matrix<A>) {
    constexpr Index size = sizeof(*a.data);
    if (a.lines_are_rows()) return n <= 768 && a.row_stride * size % 4096 != 0;
    const bool fits = a.columns <= 512 || a.rows < Tile::high || n <= 192;
    return Tile::rows * size >= 56 || (a.column_stride * size <= 2048 && a.column_stride * size % 1024 != 0 && fits);
  } else {
    return false;
  }
}

/// Packing B pays where it has to be transposed, or where many tiles reread it.
template <class B>
bool reads_b_directly([[maybe_unused]] const B& b, [[maybe_unused]] Index m) noexcept {
  if constexpr (is_matrix<B>) {
    return b.lines_are_rows() && m <= 768;
  } else {
    return false;
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
