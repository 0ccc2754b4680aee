/// \file
/// GemmPlan: how a product is cut, as a function of its shape and the instruction set alone.
#pragma once

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/gemm_tile.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Part `i` of [0, count) cut into `parts` that differ by one at most.
constexpr Range even_part(Index count, Index parts, Index i) noexcept {
  return {count * i / parts, count * (i + 1) / parts};
}

constexpr Index divide_up(Index a, Index b) noexcept { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) noexcept { return divide_up(a, b) * b; }

/// C is cut into tiles (rows, evenly) and panels (columns); a chunk of work is a block of tiles x a block of panels.
/// An operand's block that only one chunk reads is packed by that chunk, just before use; else all of the operand is
/// packed beforehand, a slice of k at a time. Either way every element is packed once.
/// Where C is small and k long, the slices of k are the chunks, and their sums are added in order at the end.
struct GemmPlan {
  Index tiles, panels;                ///< of C, along the rows and the columns
  Index tile_blocks, panel_blocks;    ///< blocks of them; their product is the number of chunks
  Index depth;                        ///< terms of k between two visits to C: a multiple of 16
  Index slice;                        ///< terms of k packed at once: a multiple of depth
  Index slices;
  bool split;                         ///< the slices are summed apart, then added
  bool direct_a, direct_b;            ///< read where it lies, not packed

  bool share_a() const noexcept { return !direct_a && panel_blocks > 1; }
  bool share_b() const noexcept { return !direct_b && tile_blocks > 1; }
  Index block_tiles() const noexcept { return divide_up(tiles, tile_blocks); }
  Index block_panels() const noexcept { return divide_up(panels, panel_blocks); }
};

/// The plan for c [m, n] = a [m, k] b [k, n]; none of them 0.
#ifndef BLOCK_TILES
#define BLOCK_TILES 27
#endif
template <class T, class Arch>
GemmPlan plan_gemm(Index m, Index n, Index k, bool direct_a, bool direct_b) noexcept {
  using Tile = GemmTile<T, Arch>;
  constexpr Index enough_chunks = 16, small_chunk = Index{1} << 20, shared_elements = Index{1} << 20;
  GemmPlan plan{};
  plan.direct_a = direct_a;
  plan.direct_b = direct_b;
  plan.tiles = divide_up(m, Tile::rows);
  plan.panels = divide_up(n, Tile::columns);
  plan.depth = round_up(divide_up(k, divide_up(k, Tile::depth)), 16);
  const Index depths = divide_up(k, plan.depth);

  const Index parts = std::min({enough_chunks, depths / 8, shared_elements / (m * n)});
  plan.split = parts >= 8 && plan.tiles <= 16 && plan.panels < enough_chunks;
  if (plan.split) {
    plan.tile_blocks = plan.panel_blocks = 1;
    plan.slice = divide_up(depths, parts) * plan.depth;
  } else {
    plan.tile_blocks = divide_up(plan.tiles, BLOCK_TILES);
    plan.panel_blocks = 1;
    const auto chunks = [&] { return plan.tile_blocks * plan.panel_blocks; };
    while (chunks() < enough_chunks && m * n / chunks() * k > small_chunk && chunks() < plan.tiles * plan.panels) {
      if (plan.panel_blocks < plan.panels) {
        plan.panel_blocks = std::min(2 * plan.panel_blocks, plan.panels);
      } else {
        plan.tile_blocks = std::min(2 * plan.tile_blocks, plan.tiles);
      }
    }
    const Index shared = (plan.share_a() ? plan.tiles * Tile::row_stride : 0) +
                         (plan.share_b() ? plan.panels * Tile::columns : 0);
    const Index fitting = shared == 0 ? depths : std::max(Index{1}, shared_elements / (shared * plan.depth));
    plan.slice = std::min(depths, fitting) * plan.depth;
  }
  plan.slices = divide_up(k, plan.slice);
  return plan;
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
