/// \file
/// GemmPlan: how a product is cut. What decides its bits is a function of its shape and the instruction set alone.
#pragma once

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/gemm_tile.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// [0, count) cut into parts that differ by one at most, the longer ones first.
class EvenParts {
 public:
  constexpr EvenParts(Index count, Index parts) noexcept : size_(count / parts), longer_(count % parts) {}
  constexpr Range operator[](Index part) const noexcept {
    const Index first = part * size_ + std::min(part, longer_);
    return {first, first + size_ + (part < longer_ ? 1 : 0)};
  }

 private:
  Index size_, longer_;
};

/// One of such parts, the longer ones spread among the others: parts that follow one another, as a thread claims them, have a fair share together.
constexpr Range spread_part(Index count, Index parts, Index part) noexcept { return {count * part / parts, count * (part + 1) / parts}; }

/// [0, count) in EvenParts of whole units, of which the last one may be cut.
template <Index unit>
class EvenUnits {
 public:
  constexpr EvenUnits(Index count, Index parts) noexcept : count_(count), units_(divide_up(count, unit), parts) {}
  constexpr Range operator[](Index part) const noexcept {
    const Range units = units_[part];
    return {units.first * unit, std::min(count_, units.last * unit)};
  }

 private:
  Index count_;
  EvenParts units_;
};

/// C is cut into tiles along its rows and panels along its columns; a chunk of work is a block of tiles x a block of
/// panels. A block of an operand that one chunk alone reads is packed by the worker that multiplies it, just before use or, where A is a matrix with
/// lines across k, while it multiplies the block before; else the operand is packed beforehand, a slice of k at a time. Either way every element is
/// packed once (but for what is left when panels are dealt out, and a block packed early that another worker takes over).
/// Where C is small and k long, the slices of k are the chunks instead; their sums are added in order at the end.
/// Where C is low and B packed, panels are dealt out to the threads: to each as many registers of columns, in panels of its own, one a chunk. The
/// registers that are left, fewer than threads, each packs for itself, for some of the rows.
struct GemmPlan {
  bool direct_a, direct_b;          ///< read where the matrix lies, not packed
  Index tiles, panels;              ///< of C, along its rows and its columns; as even as tiles of rows and registers are
  Index tile_blocks, panel_blocks;  ///< blocks of them: as many chunks as the product
  Index depth;                      ///< terms of k between two visits to C: a multiple of 16
  Index slice, slices;              ///< terms of k packed at once, a multiple of depth; how many such slices
  bool split;                       ///< each slice is a chunk with sums of its own
  Index parts = 1;                  ///< threads that panels are dealt out to; 1: chunks are blocks
  Index part_panels, part_columns;  ///< what each of them has for itself

  bool share_a() const noexcept { return !direct_a && panel_blocks > 1; }
  bool share_b() const noexcept { return !direct_b && tile_blocks > 1; }
  Index rest_panels() const noexcept { return panels - parts * part_panels; }
  Index chunks() const noexcept { return parts == 1 ? tile_blocks * panel_blocks : parts * (part_panels + rest_panels()); }

  /// `registers` of columns, of which a panel has at most `of_panel`, to so many threads.
  void deal_out(Index registers, Index of_panel, Index width, Index threads) noexcept {
    const Index own = registers / threads, rest = registers % threads;
    parts = threads;
    part_panels = divide_up(own, of_panel);
    part_columns = own * width;
    panels = parts * part_panels + divide_up(rest, of_panel);
    panel_blocks = panels;
  }
};

/// The plan for c [m, n] = a [m, k] b [k, n], none of them 0. `depth`, `split` and, where it splits, `slice` alone decide the bits of the
/// result; they depend on m, n and k, and not on whether an operand is packed, nor on `threads`: those that share
/// the blocks. Panels are dealt out to them if `deals_out`: not where each element of B may be asked for once only.
template <class T, class Arch>
GemmPlan plan_gemm(Index m, Index n, Index k, bool direct_a, bool direct_b, Index threads = 1, bool deals_out = true) noexcept {
  using Tile = GemmTile<T, Arch>;
  constexpr Index enough_chunks = 16;               // to keep a few threads busy to the end
  constexpr Index few_chunks = 8;                   // for one or two
  constexpr Index few_tiles = 32;                   // of A: they stay in the second-level cache while panels of B pass by
  constexpr Index more_tiles = 96;                  // come from the third as fast as wide panels, of which each thread has some, need them
  constexpr Index small_chunk = Index{1} << 20;     // multiplications not worth dividing any further
  constexpr Index block_elements = Tile::block_bytes / sizeof(T);  // of packed B: they stay in the second-level cache
  constexpr Index slice_elements = Index{1} << 20;  // packed at once: they stay in the third-level cache
  GemmPlan plan{};
  plan.direct_a = direct_a;
  plan.direct_b = direct_b;
  plan.tiles = divide_up(m, Tile::rows);
  plan.panels = divide_up(n, Tile::columns);
  const Index registers = divide_up(n, Tile::width);
  const bool wide_panels = Tile::many_registers && deals_out && registers >= Tile::registers * threads;
  const bool panel_by_panel = plan.tiles <= (wide_panels ? more_tiles : few_tiles) && !direct_b;  // each chunk packs its own panels
  plan.depth = round_up(divide_up(k, divide_up(k, m >= Tile::high ? Tile::deep : Tile::depth)), 16);
  // Tiles of a chunk: few, so that another thread may take it over late; more where they are packed from lines across k, in pieces of at most 1 KiB.
  const Index block_tiles = !direct_a && m >= 4096 ? std::clamp<Index>(8192 / plan.depth, 8, 32) : 8;
  // Rather than all beforehand, where the panels that are read again for each block stay in the third-level cache.
  const bool packs_few_a = !direct_a && direct_b && m >= Tile::high && k * n <= 2 * slice_elements;
  // Its panels: as many as stay in the cache; or all, if there are enough blocks of tiles for each chunk to pack its own, once, and the panels
  // that each of them reads again are few or no more than twice as long as C is high.
  const bool packs_own_a = !direct_a && m >= 512 && (n <= 2 * m || plan.depth * n <= slice_elements);
  const Index block_panels = std::max<Index>(1, block_elements / (plan.depth * Tile::columns));
  const Index depths = divide_up(k, plan.depth);

  const Index slices = std::min(enough_chunks, depths / 2);  // of two visits or more, so that adding the sums is little
  plan.split = slices >= 4 && m <= 256 && m * n <= 65536;
  if (plan.split) {
    plan.tile_blocks = plan.panel_blocks = 1;
    plan.slice = divide_up(depths, slices) * plan.depth;
  } else {
    plan.tile_blocks = panel_by_panel ? 1 : divide_up(plan.tiles, block_tiles);
    if (plan.tile_blocks > threads) plan.tile_blocks = std::min(plan.tiles, round_up(plan.tile_blocks, threads));  // as many for each
    if (panel_by_panel && threads > 1 && deals_out) {
      plan.deal_out(registers, Tile::registers, Tile::width, threads);
    } else {
      if (panel_by_panel) plan.panels = std::min(round_up(plan.panels, threads), registers);  // as many for each
      plan.panel_blocks = divide_up(plan.panels, plan.share_b() && !packs_own_a ? block_panels : plan.panels);
      const Index enough = packs_few_a ? std::clamp(4 * threads, few_chunks, enough_chunks) : enough_chunks;
      while (plan.chunks() < std::min(enough, plan.tiles * plan.panels) && m * n / plan.chunks() * k > small_chunk) {
        const bool lower_first = plan.share_b() || packs_few_a;
        const bool narrower = plan.panel_blocks < plan.panels && (!lower_first || plan.tile_blocks == plan.tiles);
        if (panel_by_panel && !narrower) break;
        Index& blocks = narrower ? plan.panel_blocks : plan.tile_blocks;
        blocks = std::min(2 * blocks, narrower ? plan.panels : plan.tiles);
      }
    }
    const Index row = plan.tiles * Tile::row_stride + plan.panels * Tile::columns;
    plan.slice = std::min(depths, std::max(Index{1}, slice_elements / (row * plan.depth))) * plan.depth;
    if (!plan.share_a() && !plan.share_b()) plan.slice = depths * plan.depth;
  }
  plan.slices = divide_up(k, plan.slice);
  return plan;
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
