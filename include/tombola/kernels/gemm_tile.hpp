/// \file
/// The micro-kernel of the product: a tile of C kept in registers while it runs along k, and the packed format it reads.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <utility>

#include "tombola/kernels/gemm_ahead.hpp"
#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// The tile that one architecture's registers hold. Packed, a tile's rows of A lie together for each k, `row_stride` of
/// them, and so do a panel's `columns` of B: both panels are read from front to back.
template <class T, class Arch>
struct GemmTile {
  static constexpr Index width = simd::width<T, Arch>;
  static constexpr bool many_registers = simd::is_avx512<Arch> || std::is_base_of_v<xsimd::neon64, Arch>;
  static constexpr Index registers = many_registers ? 3 : 2;  ///< of B, for each k
  static constexpr Index columns = registers * width;
  static constexpr Index rows = many_registers ? 8 : 6;  ///< registers x rows sums, those of B and 1 of A fit in 32 (16)
  static constexpr Index widest = many_registers ? 5 : registers;  ///< where a tile may be wide and low instead
  /// The most rows of a tile of so many registers: their sums, those of B and 1 of A fit as well.
  static constexpr Index rows_at(Index wide) noexcept { return wide <= registers ? rows : wide == 4 ? 6 : 5; }
  static constexpr Index row_stride = many_registers ? 8 : round_up(rows, width);
  static constexpr Index depth = 384;       ///< terms of k between two visits to C: a panel of B stays in or near 48 KiB
  static constexpr Index deep = 2 * depth;  ///< the same where C is high: visits to it cost more than panels from the next cache
  static constexpr Index high = 256;        ///< rows of such a C
  static constexpr Index block_bytes = (many_registers ? 688 : 256) * 1024;  ///< of B, for a second-level cache of 1 MiB, with AVX2 alone 512 KiB
};

/// Where the micro-kernel reads an operand: packed, or where the caller's matrix lies.
/// A: element (i, k) at data[i + k * step], or at data[i * step + k] if `along_k`.  B: (k, j) at data[k * step + j].
template <class T>
struct GemmRead {
  const T* data;
  Index step;
  bool along_k = false;
};

/// Where the terms of a tile's product lie, if not in one piece: pieces of `depth` terms in two nested loops. From one piece to
/// the next, A and B are this many elements further on.
struct GemmPieces {
  Index outer = 1, a_outer = 0, b_outer = 0;
  Index inner = 1, a_inner = 0, b_inner = 0;
};

/// All terms in one piece: the compiler drops the loops over pieces, and what they keep in registers.
struct GemmOnePiece {
  static constexpr Index outer = 1, a_outer = 0, b_outer = 0, inner = 1, a_inner = 0, b_inner = 0;
};

namespace detail {

/// c [rows, columns] = sums, or += sums if `add`, where the last register of a row is cut: whole registers would reach behind C.
/// sums [rows, registers * width], in memory: one function for all tiles.
template <class T, class Arch>
[[gnu::noinline]] void write_cut_tile(Index rows, Index registers, const T* sums, T* c, Index c_stride, Index columns, bool add) noexcept {
  constexpr Index width = simd::width<T, Arch>;
  for (Index i = 0; i < rows; ++i) {
    for (Index r = 0; r < registers; ++r, sums += width) {
      T* to = c + i * c_stride + r * width;
      const Index count = std::min(width, columns - r * width);
      const simd::Batch<T, Arch> sum = simd::load<T, Arch>(sums);
      simd::store_up_to(to, add ? simd::load_up_to<T, Arch>(to, count) + sum : sum, count);
    }
  }
}

/// c [Rows, columns] = a b, or += a b if `add`: `depth` terms a piece, operands as `GemmRead` says, columns <= Registers * width.
template <class T, class Arch, Index Rows, Index Registers, bool along_k, class Pieces>
void multiply_tile(const Pieces& pieces, Index depth, const T* a_first, Index a_step, const T* b_first, Index b_step, T* c,
                   Index c_stride, Index columns, bool add, const GemmAhead<T>& ahead) noexcept {
  constexpr Index width = simd::width<T, Arch>, line = 64 / static_cast<Index>(sizeof(T));
  [[maybe_unused]] constexpr Index lines = Registers * width / line + 1;  // of a row of C, wherever in a line it begins
  [[maybe_unused]] constexpr Index asking = 64;  // the last terms, during which lines of C are asked for
  constexpr bool masked = simd::is_avx512<Arch>;  // there the last register of a row, cut or whole, costs the same
  using Batch = simd::Batch<T, Arch>;
  const Index last = std::min(width, columns - (Registers - 1) * width);
  Batch sums[Rows][Registers];
#pragma GCC unroll 16
  for (Index i = 0; i < Rows; ++i) {
#pragma GCC unroll 5
    for (Index r = 0; r < Registers; ++r) sums[i][r] = Batch(T(0));
  }
  [[maybe_unused]] Meanwhile<T, Arch, GemmTile<T, Arch>::row_stride> meanwhile(ahead);
  [[maybe_unused]] const Index ask_step = ahead.step;
  for (Index outer = 0; outer < pieces.outer; ++outer) {
    for (Index inner = 0; inner < pieces.inner; ++inner) {
      const T* a = a_first + outer * pieces.a_outer + inner * pieces.a_inner;
      const T* b = b_first + outer * pieces.b_outer + inner * pieces.b_inner;
      [[maybe_unused]] const T* row = c;
      [[maybe_unused]] Index asked = 0, k = 0;
      const auto ask = [&] {
        if constexpr (along_k) {  // more rows than the hardware follows: ask for the next line of each in turn
          for (Index next = line; next <= 16; next += line) __builtin_prefetch(a + k % 16 * ask_step + next);
        } else if (depth - k <= asking && asked < Rows * lines) {  // the lines of C, late enough to stay in the cache
          __builtin_prefetch(row, 1);
          row = ++asked % lines == 0 ? row + c_stride - (lines - 1) * line : row + line;
        }
      };
      const auto add_term = [&] {
        Batch terms[Registers];
#pragma GCC unroll 5
        for (Index r = 0; r < Registers; ++r) {
          const bool cut = masked && r == Registers - 1;  // elsewhere a short B is packed
          terms[r] = cut ? simd::load_part<T, Arch>(b + r * width, last) : simd::load<T, Arch>(b + r * width);
        }
#pragma GCC unroll 16
        for (Index i = 0; i < Rows; ++i) {
          const Batch factor(a[along_k ? i * a_step : i]);
#pragma GCC unroll 5
          for (Index r = 0; r < Registers; ++r) sums[i][r] = simd::fma(factor, terms[r], sums[i][r]);
        }
        a += along_k ? 1 : a_step;
        b += b_step;
      };
      if constexpr (!GemmTile<T, Arch>::many_registers) {  // so few multiply-adds a term that all other instructions count
        if constexpr (along_k) {
          if (ask_step == 0) {
#pragma GCC unroll 4
            for (; k < depth; ++k) add_term();
          }
        } else if (!meanwhile.busy()) {
#pragma GCC unroll 4
          for (; k < depth - asking; ++k) add_term();
        }
      }
      for (; k < depth; ++k) {
        ask();
        add_term();
        if constexpr (!along_k) meanwhile.step();
      }
    }
  }
  if constexpr (!masked) {
    if (last < width) {
      T stored[Rows * Registers * width];
#pragma GCC unroll 16
      for (Index i = 0; i < Rows; ++i) {
#pragma GCC unroll 5
        for (Index r = 0; r < Registers; ++r) simd::store(stored + (i * Registers + r) * width, sums[i][r]);
      }
      return write_cut_tile<T, Arch>(Rows, Registers, stored, c, c_stride, columns, add);
    }
  }
  if (add) {
#pragma GCC unroll 16
    for (Index i = 0; i < Rows; ++i) {
#pragma GCC unroll 5
      for (Index r = 0; r < Registers; ++r) {
        const T* from = c + i * c_stride + r * width;
        sums[i][r] = (masked && r == Registers - 1 ? simd::load_part<T, Arch>(from, last) : simd::load<T, Arch>(from)) + sums[i][r];
      }
    }
  }
#pragma GCC unroll 16
  for (Index i = 0; i < Rows; ++i) {
#pragma GCC unroll 5
    for (Index r = 0; r < Registers; ++r) {
      T* to = c + i * c_stride + r * width;
      if (masked && r == Registers - 1) {
        simd::store_part(to, sums[i][r], last);
      } else {
        simd::store(to, sums[i][r]);
      }
    }
  }
}

template <class T, class Pieces>
using MultiplyTile = void (*)(const Pieces&, Index, const T*, Index, const T*, Index, T*, Index, Index, bool,
                              const GemmAhead<T>&) noexcept;

/// `multiply_tile` for every width of a tile up to `widest`, [rows - 1][registers - 1], and its heights; null for what the registers do not hold.
template <class T, class Arch, bool along_k, class Pieces, Index widest>
inline constexpr auto tile_table = [] {
  using Tile = GemmTile<T, Arch>;
  std::array<std::array<MultiplyTile<T, Pieces>, widest>, Tile::rows> table{};
  const auto set = [&]<Index rows, Index registers>() {
    if constexpr (rows <= Tile::rows_at(registers)) table[rows - 1][registers - 1] = &multiply_tile<T, Arch, rows, registers, along_k, Pieces>;
  };
  const auto fill = [&]<std::size_t... I>(std::index_sequence<I...>) {
    (set.template operator()<Index{I / widest} + 1, Index{I % widest} + 1>(), ...);
  };
  fill(std::make_index_sequence<Tile::rows * widest>{});
  return table;
}();

}  // namespace detail

/// Asks for the lines of a tile of C, the next one to be multiplied. The micro-kernel does so itself, late enough for them to stay in the
/// first-level cache, unless it reads A along k and asks for that: then its stores wait for lines that no cache near by has.
template <class T>
void ask_for_tile(Index rows, Index columns, const T* c, Index c_stride) noexcept {
  constexpr Index line = 64 / static_cast<Index>(sizeof(T));
  for (Index i = 0; i < rows; ++i, c += c_stride) {
    const auto begun = static_cast<Index>(reinterpret_cast<std::uintptr_t>(c) % 64 / sizeof(T));  // of the line in which the row begins
    __builtin_prefetch(c, 1);
    for (Index j = line - begun; j < columns; j += line) __builtin_prefetch(c + j, 1);
  }
}
/// Whether `elements` of C, read or written once in a while, are so many that a second-level cache does not keep them.
template <class T>
constexpr bool leaves_cache(Index elements) noexcept { return elements * static_cast<Index>(sizeof(T)) > Index{1} << 19; }

/// c = a b, or c += a b if `add`, for one tile.  a [rows, depth], b [depth, columns], c [rows, columns]; or the sum of such
/// products over the pieces. At most `widest` registers of columns, and as many rows as the tile has at its width.
template <class T, class Arch, class Pieces = GemmOnePiece, Index widest = GemmTile<T, Arch>::registers>
void multiply_tile(Index rows, Index columns, Index depth, const GemmRead<T>& a, const GemmRead<T>& b, T* c,
                   Index c_stride, bool add, const Pieces& pieces = {}, const GemmAhead<T>& ahead = {}) noexcept {
  if constexpr (std::is_same_v<Pieces, GemmPieces>) {
    if (pieces.outer == 1 && pieces.inner == 1) {
      return multiply_tile<T, Arch, GemmOnePiece, widest>(rows, columns, depth, a, b, c, c_stride, add, {}, ahead);
    }
  }
  const auto& table = a.along_k ? detail::tile_table<T, Arch, true, Pieces, widest> : detail::tile_table<T, Arch, false, Pieces, widest>;
  const auto registers = static_cast<std::size_t>((columns - 1) / GemmTile<T, Arch>::width);
  assert((GemmTile<T, Arch>::rows_at(static_cast<Index>(registers) + 1) >= rows));
  table[static_cast<std::size_t>(rows - 1)][registers](pieces, depth, a.data, a.step, b.data, b.step, c, c_stride, columns, add,
                                                       ahead);
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
