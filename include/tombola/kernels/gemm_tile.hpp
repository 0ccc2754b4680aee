/// \file
/// The micro-kernel of the product: a tile of C kept in registers, from one packed panel of A and one of B.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// The tile that one architecture's registers hold, and the packed format that goes with it.
/// A panel holds one tile's elements for successive k: the A panel `row_stride` of them for each k, the B panel `columns`.
template <class T, class Arch>
struct GemmTile {
  static constexpr Index width = simd::width<T, Arch>;
  static constexpr bool many_registers = simd::is_avx512<Arch> || std::is_base_of_v<xsimd::neon64, Arch>;
  static constexpr Index registers = 2;                    ///< of B for each k: a tile is two registers wide
  static constexpr Index columns = registers * width;
  static constexpr Index rows = many_registers ? 14 : 6;   ///< 2 x rows accumulators + 2 of B + 1 of A <= 32 or 16
  static constexpr Index row_stride = (rows + width - 1) / width * width;
  /// Terms of k between two visits to C: few visits, while a B panel (48 KiB) stays in or near the first-level cache.
  static constexpr Index depth = std::min<Index>(49152 / (columns * static_cast<Index>(sizeof(T))), 384);
};

/// The sums over `depth` terms, written to or added to c [Rows, columns], columns <= Registers * width.
/// Element (i, k) of A lies at a[i * a_step + k] if `a_along_k`, else at a[i + k * a_step]; (k, j) of B at b[k * b_step + j].
/// So both are read where they lie or from packed panels, whichever the caller finds cheaper.
template <class T, class Arch, Index Rows, Index Registers, bool a_along_k>
void multiply_tile(Index depth, const T* a, Index a_step, const T* b, Index b_step, T* c, Index c_stride, Index columns,
                   bool add) noexcept {
  constexpr Index width = simd::width<T, Arch>, line = 64 / static_cast<Index>(sizeof(T));
  using Batch = simd::Batch<T, Arch>;
  Batch sums[Rows][Registers];
#pragma GCC unroll 16
  for (Index i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (Index r = 0; r < Registers; ++r) sums[i][r] = Batch(T(0));
  }
  [[maybe_unused]] const Index last = std::min(width, columns - (Registers - 1) * width);
  for (Index k = 0; k < depth; ++k, a += a_along_k ? 1 : a_step, b += b_step) {
    if constexpr (a_along_k) {  // the hardware follows a few of these rows only: ask for each row's next line in turn
      for (Index ahead = line; ahead <= 16; ahead += line) __builtin_prefetch(a + k % 16 * a_step + ahead);
    }
    Batch terms[Registers];
#pragma GCC unroll 2
    for (Index r = 0; r < Registers; ++r) {
      const bool part = simd::is_avx512<Arch> && r == Registers - 1;  // a mask costs nothing there
      terms[r] = part ? simd::load_part<T, Arch>(b + r * width, last) : simd::load<T, Arch>(b + r * width);
    }
#pragma GCC unroll 16
    for (Index i = 0; i < Rows; ++i) {
      const Batch factor(a[a_along_k ? i * a_step : i]);
#pragma GCC unroll 2
      for (Index r = 0; r < Registers; ++r) sums[i][r] = simd::fma(factor, terms[r], sums[i][r]);
    }
  }
#pragma GCC unroll 16
  for (Index i = 0; i < Rows; ++i, c += c_stride) {
#pragma GCC unroll 2
    for (Index r = 0; r < Registers; ++r) {
      T* target = c + r * width;
      const Index count = columns - r * width;
      if (count >= width) {
        simd::store(target, add ? simd::load<T, Arch>(target) + sums[i][r] : sums[i][r]);
      } else {
        simd::store_part(target, add ? simd::load_part<T, Arch>(target, count) + sums[i][r] : sums[i][r], count);
      }
    }
  }
}

/// `multiply_tile` for each height and width of a tile: at [rows - 1][registers - 1].
template <class T, class Arch, bool a_along_k>
struct GemmTiles {
  using Multiply = void (*)(Index, const T*, Index, const T*, Index, T*, Index, Index, bool) noexcept;
  static constexpr Index rows = GemmTile<T, Arch>::rows;

  template <Index... I>
  static constexpr std::array<std::array<Multiply, 2>, rows> make(std::integer_sequence<Index, I...>) noexcept {
    return {{{{&multiply_tile<T, Arch, I + 1, 1, a_along_k>, &multiply_tile<T, Arch, I + 1, 2, a_along_k>}}...}};
  }
  static constexpr std::array<std::array<Multiply, 2>, rows> table = make(std::make_integer_sequence<Index, rows>{});
};

}  // namespace tombola::inline TOMBOLA_ISA::kernels
