/// \file
/// What a product accepts as an operand and as an epilogue, and when an operand is worth packing.
#pragma once

#include <algorithm>
#include <concepts>
#include <numeric>

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
    const bool fits = a.columns <= 512 || a.rows <= (Tile::many_registers ? Tile::high - 1 : 128) || n <= 192;
    return Tile::rows * size >= 56 || (a.column_stride * size <= 2048 && a.column_stride * size % 1024 != 0 && fits);
  } else {
    return false;
  }
}

/// Whether a cache line of each of `rows` rows, `apart` bytes from one to the next, stays in a first-level cache of 64 x 8 lines.
constexpr bool stays_in_cache(Index rows, Index apart) noexcept {
  constexpr Index line = 64, places = 64, ways = 8;
  if (apart % line != 0) return 2 * rows <= places * ways;  // pieces of two lines
  return rows <= places / std::gcd(apart / line, places) * ways;
}

/// Packing B pays where it has to be transposed, or where many tiles reread it: fewer where it has so many terms that its lines come from far
/// away; where registers are few, so that a tile needs a line of B as soon as in every sixth cycle, also where some do that find it in the
/// second-level cache, and where few do if all lines fall into the same places of that one too, a multiple of a page apart.
template <class Tile, class B>
bool reads_b_directly([[maybe_unused]] const B& b, [[maybe_unused]] Index m) noexcept {
  if constexpr (is_matrix<B>) {
    const Index visit = std::min(b.rows, m >= Tile::high ? Tile::deep : Tile::depth);
    const Index apart = b.row_stride * static_cast<Index>(sizeof(*b.data));
    const bool stays = Tile::many_registers || stays_in_cache(visit, apart);
    const Index rereads = !stays ? (apart % 4096 == 0 ? 24 : 64) : b.rows > 2048 ? 400 : 768;
    return b.lines_are_rows() && m <= rereads;
  } else {
    return false;
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
