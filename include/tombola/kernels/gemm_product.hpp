/// \file
/// One product under way: packs, multiplies and adds as its plan says, chunk by chunk.
#pragma once

#include <new>

#include "tombola/kernels/gemm_operand.hpp"
#include "tombola/kernels/gemm_pack.hpp"
#include "tombola/kernels/gemm_plan.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels::detail {

template <class T, class Arch, class A, class B, class Epilogue>
class GemmProduct {
  using Tile = GemmTile<T, Arch>;
  static constexpr Index cache_line = 64 / static_cast<Index>(sizeof(T));  // in elements

 public:
  GemmProduct(const A& a, const B& b, T beta, const Matrix<T>& c, const Epilogue& epilogue, int threads) noexcept
      : a_(a),
        b_(b),
        c_(c),
        epilogue_(epilogue),
        beta_(beta),
        threads_(threads),
        m_(c.rows),
        n_(c.columns),
        k_(a.columns),
        plan_(plan_gemm<T, Arch>(m_, n_, k_, reads_a_directly<Tile>(a, n_), reads_b_directly<Tile>(b, m_), threads, is_matrix<B>)) {}

  /// Elements of scratch memory.
  std::size_t scratch(const Threads& threads) const noexcept {
    return static_cast<std::size_t>(shared_a() + shared_b() + sums() + threads.count() * worker());
  }

  /// Packs and multiplies slice after slice.
  void run(const Threads& threads, T* scratch) noexcept {
    shared_a_ = scratch;
    shared_b_ = shared_a_ + shared_a();
    sums_ = shared_b_ + shared_b();
    workers_ = sums_ + sums();
    for (int worker = 0; worker < threads.count(); ++worker) ::new (workers_ + worker * this->worker()) Places;
    if (plan_.split) {
      parallel_for(threads, plan_.slices, [&](Index slice, int worker) { multiply_chunk(slice, 0, worker); });
      parallel_ranges(threads, m_, 16, [&](Range rows) {
        for (Index row = rows.first; row < rows.last; ++row) add_slices(row);
      });
      return;
    }
    const Index packs = divide_up(plan_.slice, plan_.depth) * (groups_a() + groups_b());
    for (Index slice = 0; slice < plan_.slices; ++slice) {
      parallel_for(threads, packs, [&](Index chunk, int worker) { pack_chunk(slice, chunk, worker); });
      parallel_for(threads, plan_.chunks(), [&](Index chunk, int worker) { multiply_chunk(slice, chunk, worker); });
    }
  }

 private:
  /// A worker that packs tiles of A for itself has two places for them: one is read while the other is filled.
  struct Places {
    bool reads_second = false;
    Index tile_block = -1, first_term = -1;  // what the other one has been filled with
  };

  struct Own {  // one worker's scratch memory
    T *a, *b, *buffer;
    Places* places;
  };

  struct Block {  // of C
    Range tiles, panels;
    Index tile_block, next_tile_block;
  };

  struct BlockOfA {
    Index tile_block;
    Range k;
  };

  using Wanted = GemmWanted<T>;
  using NextTiles = GemmNextTiles<T, Tile::row_stride>;

  // The parts of the scratch memory, in elements. All begin at a cache line.
  Index shared_a() const noexcept { return plan_.share_a() ? plan_.tiles * Tile::row_stride * plan_.slice : 0; }
  Index shared_b() const noexcept { return plan_.share_b() ? plan_.panels * Tile::columns * plan_.slice : 0; }
  Index sums() const noexcept { return plan_.split ? round_up(plan_.slices * m_ * n_, 16) : 0; }
  bool packs_own_a() const noexcept { return !plan_.direct_a && !plan_.share_a(); }
  /// Whether tiles of A that a worker needs next can be packed while it multiplies others: lines that run along k are to be transposed.
  bool packs_ahead() const noexcept {
    if constexpr (is_matrix<A>) return packs_own_a() && !a_.lines_are_rows() && plan_.panels > 1;
    return false;
  }
  /// From one tile that a worker packs for itself to the next: never a multiple of 4 KiB, so that lines of all of them find places in a cache.
  Index own_tile_size() const noexcept { return Tile::row_stride * plan_.depth + cache_line; }
  Index place_size() const noexcept { return packs_own_a() ? divide_up(plan_.tiles, plan_.tile_blocks) * own_tile_size() : 0; }
  Index own_a() const noexcept { return (packs_ahead() ? 2 : 1) * place_size(); }
  Index own_b() const noexcept { return plan_.share_b() ? 0 : Tile::columns * plan_.depth; }
  Index buffer() const noexcept {
    const Index tiles = std::max(group_a(), divide_up(plan_.tiles, plan_.tile_blocks));
    const Index across = std::max(group_b() * Tile::columns, tiles * Tile::rows);
    return round_up(std::max(Tile::width * plan_.depth, lines_across * across), 16);
  }
  static_assert(sizeof(Places) <= 64);
  Index worker() const noexcept { return cache_line + own_a() + own_b() + buffer(); }
  Own own(int worker) const noexcept {
    T *first = workers_ + worker * this->worker(), *a = first + cache_line, *b = a + own_a();
    return {a, b, b + own_b(), std::launder(reinterpret_cast<Places*>(first))};
  }

  // Tiles, or panels, packed together: few enough for all threads to share the packing, or so many that lines across k are read
  // in long pieces.
  Index group_a() const noexcept { return std::clamp<Index>(plan_.tiles / 16, 1, 16); }
  Index group_b() const noexcept { return std::clamp<Index>(plan_.panels / (4 * threads_), 1, 8); }
  Index groups_a() const noexcept { return plan_.share_a() ? divide_up(plan_.tiles, group_a()) : 0; }
  Index groups_b() const noexcept { return plan_.share_b() ? divide_up(plan_.panels, group_b()) : 0; }
  Range slice_terms(Index slice) const noexcept {
    return {slice * plan_.slice, std::min(k_, (slice + 1) * plan_.slice)};
  }
  Range tile_rows(Index tile) const noexcept { return rows_[tile]; }
  Range tiles_of(Index tile_block) const noexcept { return spread_part(plan_.tiles, plan_.tile_blocks, tile_block); }
  Range panel_columns(Index panel) const noexcept {
    if (plan_.parts == 1) return columns_[panel];
    const Index whole = plan_.parts * plan_.part_panels, part = panel < whole ? panel / plan_.part_panels : plan_.parts;
    const Range columns = panel < whole ? EvenUnits<Tile::width>(plan_.part_columns, plan_.part_panels)[panel % plan_.part_panels]
                                        : EvenUnits<Tile::width>(n_ - plan_.parts * plan_.part_columns, plan_.rest_panels())[panel - whole];
    return {part * plan_.part_columns + columns.first, std::min(n_, part * plan_.part_columns + columns.last)};
  }
  /// The packed tile (panel) within a slice: blocks of `depth` terms one after the other, each tile after tile.
  T* shared_a(Index tile, Index offset, Index depth) const noexcept {
    return shared_a_ + Tile::row_stride * (offset * plan_.tiles + tile * depth);
  }
  T* shared_b(Index panel, Index offset, Index depth) const noexcept {
    return shared_b_ + Tile::columns * (offset * plan_.panels + panel * depth);
  }

  /// Tiles `apart` from one to the next.
  [[gnu::noinline]] void pack_a(Range tiles, Range k, T* out, Index apart, T* buffer) const noexcept {
    constexpr Index stride = Tile::row_stride;
    if (a_.lines_are_rows()) {
      for (Index t = tiles.first; t < tiles.last; ++t, out += apart) {
        pack_along_k<stride, Arch>(a_, tile_rows(t), k, out, buffer, line_stride(a_));
      }
    } else {
      const Range rows{tile_rows(tiles.first).first, tile_rows(tiles.last - 1).last};
      const auto begin = [&](Index t) { return tile_rows(tiles.first + t).first - rows.first; };
      pack_across_k<stride, Arch>(a_, rows, k, tiles.size(), begin, out, apart, buffer);
    }
  }

  [[gnu::noinline]] void pack_b(Range panels, Range k, T* out, T* buffer) const noexcept {
    constexpr Index stride = Tile::columns;
    if (!b_.lines_are_rows()) {
      for (Index p = panels.first; p < panels.last; ++p, out += k.size() * stride) {
        pack_along_k<stride, Arch>(b_, panel_columns(p), k, out, buffer, line_stride(b_));
      }
    } else {
      const Range columns{panel_columns(panels.first).first, panel_columns(panels.last - 1).last};
      const auto begin = [&](Index t) { return panel_columns(panels.first + t).first - columns.first; };
      pack_across_k<stride, Arch>(b_, columns, k, panels.size(), begin, out, k.size() * stride, buffer);
    }
  }

  /// Packs a group of tiles of A, or of panels of B, for `depth` terms of a slice.
  void pack_chunk(Index slice, Index chunk, int worker) const noexcept {
    const Index groups = groups_a() + groups_b(), offset = chunk / groups * plan_.depth, item = chunk % groups;
    const Range terms = slice_terms(slice);
    const Range k{terms.first + offset, std::min(terms.last, terms.first + offset + plan_.depth)};
    if (k.size() <= 0) return;
    if (item < groups_a()) {
      const Range tiles{item * group_a(), std::min(plan_.tiles, (item + 1) * group_a())};
      pack_a(tiles, k, shared_a(tiles.first, offset, k.size()), k.size() * Tile::row_stride, own(worker).buffer);
    } else {
      const Index first = (item - groups_a()) * group_b();
      pack_b({first, std::min(plan_.panels, first + group_b())}, k, shared_b(first, offset, k.size()), own(worker).buffer);
    }
  }

  /// What a chunk multiplies, and which block of tiles it and the next chunk read.
  Block block_of(Index chunk) const noexcept {
    if (plan_.parts > 1) {
      const Index of_part = plan_.part_panels + plan_.rest_panels(), part = chunk / of_part, number = chunk % of_part;
      const bool own = number < plan_.part_panels;  // or else some rows of a panel that was left
      const Index panel = (own ? part : plan_.parts - 1) * plan_.part_panels + number;
      return {own ? Range{0, plan_.tiles} : EvenParts(plan_.tiles, plan_.parts)[part], {panel, panel + 1}, 0, number + 1 < of_part ? 0 : 1};
    }
    const Index tile_block = plan_.share_b() ? chunk % plan_.tile_blocks : chunk / plan_.panel_blocks;
    const Index panel_block = plan_.share_b() ? chunk / plan_.tile_blocks : chunk % plan_.panel_blocks;
    const bool same_rows = !plan_.share_b() && panel_block + 1 < plan_.panel_blocks;  // in the next chunk
    return {tiles_of(tile_block), EvenParts(plan_.panels, plan_.panel_blocks)[panel_block], tile_block,
            same_rows ? tile_block : tile_block + 1};
  }

  /// The terms of one slice of k for one block of C (or, where k is split, for the slice's own sums). Chunks that follow
  /// one another share what is packed for them, so that it stays in the second-level cache.
  void multiply_chunk(Index slice, Index chunk, int worker) const noexcept {
    const Range terms = slice_terms(slice);
    const Block block = block_of(chunk);
    if (block.tiles.size() == 0) return;  // more threads than tiles
    const Own own = this->own(worker);
    for (Index first = terms.first; first < terms.last; first += plan_.depth) {
      const Range k = visit(first, terms);
      if (packs_own_a()) pack_own_a(block, k, own);
      multiply_block(slice, block, k, own, next_after(slice, block, k));
    }
  }

  Range visit(Index first, Range terms) const noexcept { return {first, std::min(terms.last, first + plan_.depth)}; }
  /// What of A the worker reads next, unless another one takes its chunk over: nothing if the block does not exist or has no terms.
  BlockOfA next_after(Index slice, const Block& block, Range k) const noexcept {
    const Range terms = slice_terms(slice);
    if (k.last < terms.last) return {block.tile_block, visit(k.last, terms)};
    const Range next = plan_.split ? slice_terms(slice + 1) : terms;
    return {plan_.split ? block.tile_block : block.next_tile_block, visit(next.first, next)};
  }

  T* place(const Own& own, bool second) const noexcept { return own.a + (second ? place_size() : 0); }
  void pack_own_a(const Block& block, Range k, const Own& own) const noexcept {
    Places& places = *own.places;
    if (places.tile_block == block.tile_block && places.first_term == k.first) {
      places.reads_second = !places.reads_second;
    } else {
      pack_a(block.tiles, k, place(own, places.reads_second), own_tile_size(), own.buffer);
    }
    places.tile_block = -1;
  }

  /// Some terms of k for a block of C. What its tiles have in common is computed before the first one: between tiles of few terms it would
  /// take a fifth of the time.
  void multiply_block(Index slice, const Block& block, Range k, const Own& own, const BlockOfA& next) const noexcept {
    const Range terms = slice_terms(slice), tiles = block.tiles, panels = block.panels;
    const Matrix<T> c = plan_.split ? Matrix<T>{sums_ + slice * m_ * n_, m_, n_, n_, 1} : c_;
    const bool add = k.first > (plan_.split ? terms.first : 0) || (!plan_.split && beta_ != T(0)), finishes = !plan_.split && k.last == k_;
    const bool asks = reads_along_k() && leaves_cache<T>(m_ * n_);
    const GemmAhead<T> nothing, next_rows = wanted_rows();
    const auto multiply = [&](Range rows, const GemmRead<T>& a, Range columns, const GemmRead<T>& b, const GemmAhead<T>& ahead) {
      T* tile = c.at(rows.first, columns.first);
      if (asks) ask_for_tile(rows.size(), columns.size(), tile, c.row_stride);
      multiply_tile<T, Arch>(rows.size(), columns.size(), k.size(), a, b, tile, c.row_stride, add, {}, ahead);
      if (!finishes) return;
      for (Index i = rows.first; i < rows.last; ++i) epilogue_(c.at(i, columns.first), i, columns.first, columns.size());
    };
    const Index offset = k.first - terms.first;
    const T* own_a = place(own, own.places->reads_second);
    const auto a_of = [&](Index tile) {
      return read_a(tile, k, plan_.share_a() ? shared_a(tile, offset, k.size()) : own_a + (tile - tiles.first) * own_tile_size());
    };
    // A tile of A stays in the first-level cache while C is walked along its rows, or else a panel of B does while C is walked down. The
    // former is better with panels that all chunks share, but not where the chunk packed A for itself: that fills the second-level cache.
    if (plan_.share_b() && (plan_.direct_a || plan_.share_a())) {
      for (Index tile = tiles.first; tile < tiles.last; ++tile) {
        const Range rows = tile_rows(tile);
        const GemmRead<T> a = a_of(tile);
        for (Index panel = panels.first; panel < panels.last; ++panel) {
          multiply(rows, a, panel_columns(panel), read_b(panel, k, offset, own), panel + 1 < panels.last ? nothing : next_rows);
        }
      }
      return;
    }
    NextTiles next_tiles = tiles_to_pack(next, own);
    const bool packs = next_tiles.parts_left > 0;
    Wanted next_a = packs ? Wanted{} : wanted_a(next);
    Index tiles_left = panels.size() * tiles.size();
    GemmAhead<T> now;
    const auto ahead = [&](Wanted& next_b) -> const GemmAhead<T>& {
      if (next_b.elements > 0) return now = next_b.take();
      if (next_tiles.parts_left > 0) return now = next_tiles.take(k.size());
      return tiles_left <= next_a.tiles() ? now = next_a.take() : nothing;  // late: it is to stay in the second-level cache until it is read
    };
    for (Index panel = panels.first; panel < panels.last; ++panel) {
      const Range columns = panel_columns(panel);
      const GemmRead<T> b = read_b(panel, k, offset, own);
      if (reads_along_k()) {
        for (Index tile = tiles.first; tile < tiles.last; ++tile) multiply(tile_rows(tile), a_of(tile), columns, b, next_rows);
        continue;
      }
      Wanted next_b = panel + 1 < panels.last ? wanted_b(panel + 1, k.first) : wanted_b(panels.first, k.last);
      for (Index tile = tiles.first; tile < tiles.last; ++tile, --tiles_left) multiply(tile_rows(tile), a_of(tile), columns, b, ahead(next_b));
    }
    if (packs && next_tiles.parts_left == 0) {
      own.places->tile_block = next.tile_block;
      own.places->first_term = next.k.first;
    }
  }

  /// The tiles of a block of A, to be packed into the place that is not read, if they are of the same height and can be read `row_stride`
  /// elements at a time; or else none.
  NextTiles tiles_to_pack([[maybe_unused]] const BlockOfA& block, [[maybe_unused]] const Own& own) const noexcept {
    if constexpr (is_matrix<A>) {
      if (!packs_ahead() || block.tile_block == plan_.tile_blocks || block.k.size() <= 0) return {};
      const Range tiles = tiles_of(block.tile_block), rows = tile_rows(tiles.first), last = tile_rows(tiles.last - 1);
      if (rows.size() != last.size() || last.first + Tile::row_stride > m_) return {};
      return {{a_.at(rows.first, block.k.first), a_.column_stride, place(own, !own.places->reads_second), tiles.size(), rows.size(),
               own_tile_size()},
              tiles.size() * block.k.size()};
    }
    return {};
  }

  template <class Source>
  static Index line_stride([[maybe_unused]] const Source& source) noexcept {
    if constexpr (is_matrix<Source>) return source.line_stride();
    return 0;
  }
  static bool is_large(Index elements) noexcept { return elements * static_cast<Index>(sizeof(T)) > Index{1} << 21; }  // others stay in a cache
  /// A block of A that is packed, by the worker alone, or read across k where it lies.
  Wanted wanted_a([[maybe_unused]] const BlockOfA& block) const noexcept {
    if constexpr (is_matrix<A>) {
      const bool along_k = a_.lines_are_rows();
      if (plan_.share_a() || reads_along_k() || !is_large(m_ * k_)) return {};
      if (block.tile_block == plan_.tile_blocks || block.k.size() <= 0) return {};
      const Range tiles = tiles_of(block.tile_block);
      const Range rows{tile_rows(tiles.first).first, tile_rows(tiles.last - 1).last};
      const T* first = a_.at(rows.first, block.k.first);
      if (along_k) return {first, block.k.size(), a_.row_stride, rows.size()};
      return {first, rows.size(), a_.column_stride, block.k.size()};
    }
    return {};
  }
  /// Rows of A that are read along k where they lie, if they come from afar.
  GemmAhead<T> wanted_rows() const noexcept {
    if constexpr (is_matrix<A>) {
      if (reads_along_k() && leaves_cache<T>(m_ * k_)) return GemmAhead<T>::rows(a_.row_stride);
    }
    return {};
  }
  /// Columns of B from term k on, if they are read where they lie.
  Wanted wanted_b([[maybe_unused]] Index panel, [[maybe_unused]] Index k) const noexcept {
    if constexpr (is_matrix<B>) {
      if (plan_.direct_b && k < k_ && is_large(k_ * n_)) {
        return {b_.at(k, panel_columns(panel).first), panel_columns(panel).size(), b_.row_stride, std::min(plan_.depth, k_ - k)};
      }
    }
    return {};
  }

  bool reads_along_k() const noexcept {
    if constexpr (is_matrix<A>) return plan_.direct_a && a_.lines_are_rows();
    return false;
  }
  GemmRead<T> read_a([[maybe_unused]] Index tile, [[maybe_unused]] Range k, const T* packed) const noexcept {
    if constexpr (is_matrix<A>) {
      const bool along_k = a_.lines_are_rows();
      const Index step = along_k ? a_.row_stride : a_.column_stride;
      if (plan_.direct_a) return {a_.at(tile_rows(tile).first, k.first), step, along_k};
    }
    return {packed, Tile::row_stride};
  }

  GemmRead<T> read_b(Index panel, Range k, Index offset, const Own& own) const noexcept {
    if (plan_.share_b()) return {shared_b(panel, offset, k.size()), Tile::columns};
    if constexpr (is_matrix<B>) {
      const Range columns = panel_columns(panel);  // a short last register is read by a mask, or else packed
      const bool whole = simd::is_avx512<Arch> || columns.size() % Tile::width == 0;
      if (plan_.direct_b && whole) return {b_.at(k.first, columns.first), b_.row_stride};
    }
    pack_b({panel, panel + 1}, k, own.b, own.buffer);
    return {own.b, Tile::columns};
  }

  void add_slices(Index row) const noexcept {
    T* c = c_.at(row, 0);
    if (beta_ == T(0)) std::fill_n(c, n_, T(0));
    for (Index slice = 0; slice < plan_.slices; ++slice) {
      const T* terms = sums_ + (slice * m_ + row) * n_;
      for (Index j = 0; j < n_; ++j) c[j] += terms[j];
    }
    epilogue_(c, row, Index{0}, n_);
  }

  const A& a_;
  const B& b_;
  const Matrix<T>& c_;
  const Epilogue& epilogue_;
  const T beta_;
  const Index threads_;
  const Index m_, n_, k_;
  const GemmPlan plan_;
  const EvenParts rows_{m_, plan_.tiles};                      // of tiles
  const EvenUnits<Tile::width> columns_{n_, plan_.panels};  // of panels
  T *shared_a_ = nullptr, *shared_b_ = nullptr, *sums_ = nullptr, *workers_ = nullptr;
};

}  // namespace tombola::inline TOMBOLA_ISA::kernels::detail
