/// \file
/// The product of two matrices, with operands that may be supplied while they are packed and results finished in place.
#pragma once

#include "tombola/core/memory.hpp"
#include "tombola/kernels/gemm_pack.hpp"
#include "tombola/kernels/gemm_plan.hpp"
#include "tombola/kernels/parallel_phases.hpp"

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

#ifndef TUNE_A
#define TUNE_A is_matrix<A>
#define TUNE_B is_matrix<B> && b.lines_are_rows()
#endif
namespace detail {

template <class S>
inline constexpr bool is_matrix = requires(const S& source) { source.row_stride; };

/// One product under way: the operands, the plan and where things lie in the scratch memory.
template <class T, class Arch, class A, class B, class Epilogue>
class Gemm {
  using Tile = GemmTile<T, Arch>;
  static constexpr Index group = 4;  // panels packed together, so that lines across k are read in longer pieces

 public:
  Gemm(const A& a, const B& b, T beta, const Matrix<T>& c, const Epilogue& epilogue) noexcept
      : a_(a), b_(b), c_(c), epilogue_(epilogue), beta_(beta), k_(a.columns),
        plan_(plan_gemm<T, Arch>(c.rows, c.columns, a.columns, TUNE_A, TUNE_B)) {}

  std::size_t scratch(int threads) const noexcept {
    return static_cast<std::size_t>(shared_a() + shared_b() + partial() + threads * worker());
  }

  void run(int threads, T* scratch) noexcept {
    shared_a_ = scratch;
    shared_b_ = shared_a_ + shared_a();
    partial_ = shared_b_ + shared_b();
    workers_ = partial_ + partial();
    const auto multiply = [&](Index slice, Index chunk, int worker) { multiply_block(slice, chunk, worker); };
    if (plan_.split) {
      constexpr Index rows = 8;
      parallel_phases(threads, 1, plan_.slices, divide_up(c_.rows, rows),
                      [&](Index, Index slice, int worker) { multiply_block(slice, 0, worker); },
                      [&](Index, Index chunk, int) { add_slices({chunk * rows, std::min(c_.rows, (chunk + 1) * rows)}); });
    } else {
      const Index packs = divide_up(plan_.slice, plan_.depth) * (groups_a() + groups_b());
      parallel_phases(threads, plan_.slices, packs, plan_.tile_blocks * plan_.panel_blocks,
                      [&](Index slice, Index chunk, int worker) { pack_shared(slice, chunk, worker); }, multiply);
    }
  }

 private:
  // Sizes of the parts of the scratch memory, in elements; all are multiples of a cache line.
  Index shared_a() const noexcept { return plan_.share_a() ? plan_.tiles * Tile::row_stride * plan_.slice : 0; }
  Index shared_b() const noexcept { return plan_.share_b() ? plan_.panels * Tile::columns * plan_.slice : 0; }
  Index partial() const noexcept { return plan_.split ? round_up(plan_.slices * c_.rows * c_.columns, 16) : 0; }
  Index own_a() const noexcept {
    return plan_.direct_a || plan_.share_a() ? 0 : plan_.block_tiles() * Tile::row_stride * plan_.depth;
  }
  Index own_b() const noexcept { return plan_.share_b() ? 0 : Tile::columns * plan_.depth; }
  Index buffer() const noexcept {
    const Index across = std::max({group * Tile::columns, group * Tile::rows, plan_.block_tiles() * Tile::rows});
    return round_up(std::max(Tile::width * plan_.depth, across), 16);
  }
  Index worker() const noexcept { return own_a() + own_b() + buffer(); }

  Index groups_a() const noexcept { return plan_.share_a() ? divide_up(plan_.tiles, group) : 0; }
  Index groups_b() const noexcept { return plan_.share_b() ? divide_up(plan_.panels, group) : 0; }
  Range slice_range(Index slice) const noexcept {
    return {slice * plan_.slice, std::min(k_, (slice + 1) * plan_.slice)};
  }
  Index tile_row(Index tile) const noexcept { return even_part(c_.rows, plan_.tiles, tile).first; }

  void pack_a(Range tiles, Index k_first, Index depth, T* out, T* buffer) const noexcept {
    constexpr Index stride = Tile::row_stride;
    const Index first = tile_row(tiles.first);
    if (a_.lines_are_rows()) {
      for (Index t = tiles.first; t < tiles.last; ++t, out += depth * stride) {
        pack_along_k<stride, Arch>(a_, {tile_row(t), tile_row(t + 1) - tile_row(t), k_first, depth}, out, buffer);
      }
    } else {
      pack_across_k<stride, Arch>(a_, {first, tile_row(tiles.last) - first, k_first, depth}, tiles.size(),
                                  [&](Index t) { return tile_row(tiles.first + t) - first; }, out, buffer);
    }
  }

  void pack_b(Range panels, Index k_first, Index depth, T* out, T* buffer) const noexcept {
    constexpr Index stride = Tile::columns;
    const Index first = panels.first * stride, last = std::min(c_.columns, panels.last * stride);
    if (!b_.lines_are_rows()) {
      for (Index j = first; j < last; j += stride, out += depth * stride) {
        pack_along_k<stride, Arch>(b_, {j, std::min(stride, last - j), k_first, depth}, out, buffer);
      }
    } else {
      pack_across_k<stride, Arch>(b_, {first, last - first, k_first, depth}, panels.size(),
                                  [](Index t) { return t * stride; }, out, buffer);
    }
  }

  void pack_shared(Index slice, Index chunk, int worker) const noexcept {
    const Range range = slice_range(slice);
    const Index groups = groups_a() + groups_b(), offset = chunk / groups * plan_.depth, item = chunk % groups;
    const Index k_first = range.first + offset, depth = std::min(plan_.depth, range.last - k_first);
    if (depth <= 0) return;
    T* buffer = workers_ + worker * this->worker() + own_a() + own_b();
    if (item < groups_a()) {
      const Range tiles{item * group, std::min(plan_.tiles, (item + 1) * group)};
      pack_a(tiles, k_first, depth, shared_a_ + Tile::row_stride * (offset * plan_.tiles + tiles.first * depth), buffer);
    } else {
      const Index panel = (item - groups_a()) * group;
      pack_b({panel, std::min(plan_.panels, panel + group)}, k_first, depth,
             shared_b_ + Tile::columns * (offset * plan_.panels + panel * depth), buffer);
    }
  }

  /// The terms of one slice of k for one block of C (or, where k is split, for the slice's own sums).
  void multiply_block(Index slice, Index chunk, int worker) const noexcept {
    const Range range = slice_range(slice);
    const Range tiles = even_part(plan_.tiles, plan_.tile_blocks, chunk / plan_.panel_blocks);
    const Range panels = even_part(plan_.panels, plan_.panel_blocks, chunk % plan_.panel_blocks);
    T* own_a = workers_ + worker * this->worker();
    T* own_b = own_a + this->own_a();
    T* buffer = own_b + this->own_b();
    for (Index k = range.first; k < range.last; k += plan_.depth) {
      const Index depth = std::min(plan_.depth, range.last - k), offset = k - range.first;
      Terms terms{k, depth};
      terms.a = shared_a_ + Tile::row_stride * (offset * plan_.tiles + tiles.first * depth);
      if (!plan_.direct_a && !plan_.share_a()) pack_a(tiles, k, depth, own_a, buffer), terms.a = own_a;
      for (Index panel = panels.first; panel < panels.last; ++panel) {
        terms.b = shared_b_ + Tile::columns * (offset * plan_.panels + panel * depth);
        terms.b_step = Tile::columns;
        if (plan_.direct_b && reads_whole_registers(panel)) {
          terms.b = element(b_, k, panel * Tile::columns);
          terms.b_step = row_stride(b_);
        } else if (!plan_.share_b()) {
          pack_b({panel, panel + 1}, k, depth, own_b, buffer);
          terms.b = own_b;
        }
        multiply_panel(slice, tiles, panel, terms);
      }
    }
  }

  struct Terms {
    Index first, depth;
    const T *a = nullptr, *b = nullptr;
    Index b_step = 0;
  };

  template <class S>
  static const T* element(const S& source, Index row, Index column) noexcept {
    if constexpr (is_matrix<S>) return source.data + row * source.row_stride + column * source.column_stride;
    return nullptr;
  }
  template <class S>
  static Index row_stride(const S& source) noexcept {
    if constexpr (is_matrix<S>) return source.row_stride;
    return 0;
  }
  template <class S>
  static Index column_stride(const S& source) noexcept {
    if constexpr (is_matrix<S>) return source.column_stride;
    return 0;
  }
  bool reads_whole_registers(Index panel) const noexcept {
    return simd::is_avx512<Arch> || (panel + 1) * Tile::columns <= c_.columns || c_.columns % Tile::width == 0;
  }

  void multiply_panel(Index slice, Range tiles, Index panel, const Terms& terms) const noexcept {
    const Index column = panel * Tile::columns, columns = std::min(Tile::columns, c_.columns - column);
    T* target = plan_.split ? partial_ + slice * c_.rows * c_.columns : c_.data;
    const Index stride = plan_.split ? c_.columns : c_.row_stride;
    const bool add = plan_.split ? terms.first > slice_range(slice).first : terms.first > 0 || beta_ != T(0);
    for (Index t = tiles.first; t < tiles.last; ++t) {
      const Index row = tile_row(t), height = tile_row(t + 1) - row;
      T* c = target + row * stride + column;
      const bool wide = columns > Tile::width;
      const auto at = static_cast<std::size_t>(height - 1);
      if (plan_.direct_a) {
        const T* a = element(a_, row, terms.first);
        if (a_.lines_are_rows())
          GemmTiles<T, Arch, true>::table[at][wide](terms.depth, a, row_stride(a_), terms.b, terms.b_step, c, stride, columns, add);
        else
          GemmTiles<T, Arch, false>::table[at][wide](terms.depth, a, column_stride(a_), terms.b, terms.b_step, c, stride, columns, add);
      } else {
        GemmTiles<T, Arch, false>::table[at][wide](terms.depth, terms.a + (t - tiles.first) * Tile::row_stride * terms.depth, Tile::row_stride, terms.b, terms.b_step, c, stride, columns, add);
      }
      if (plan_.split || terms.first + terms.depth < k_) continue;
      for (Index i = row; i < row + height; ++i) epilogue_(c_.data + i * c_.row_stride + column, i, column, columns);
    }
  }

  void add_slices(Range rows) const noexcept {
    for (Index i = rows.first; i < rows.last; ++i) {
      T* row = c_.data + i * c_.row_stride;
      if (beta_ == T(0)) std::fill_n(row, c_.columns, T(0));
      for (Index slice = 0; slice < plan_.slices; ++slice) {
        const T* terms = partial_ + (slice * c_.rows + i) * c_.columns;
        for (Index j = 0; j < c_.columns; ++j) row[j] += terms[j];
      }
      epilogue_(row, i, 0, c_.columns);
    }
  }

  const A& a_;
  const B& b_;
  const Matrix<T>& c_;
  const Epilogue& epilogue_;
  const T beta_;
  const Index k_;
  const GemmPlan plan_;
  T *shared_a_ = nullptr, *shared_b_ = nullptr, *partial_ = nullptr, *workers_ = nullptr;
};

/// The same product for a scalar that registers do not hold: both operands copied, then three loops.
template <class T, class A, class B, class Epilogue>
void gemm_plain(int threads, Workspace& scratch, const A& a, const B& b, T beta, const Matrix<T>& c,
                const Epilogue& epilogue) {
  const Index k = a.columns, widest = std::max({c.rows, c.columns, k});
  T* a_copy = scratch.take<T>(static_cast<std::size_t>((c.rows + c.columns) * k + widest));
  T* b_copy = a_copy + c.rows * k;
  T* buffer = b_copy + k * c.columns;
  const auto copy = [&](const auto& source, T* out) {
    const bool rows = source.lines_are_rows();
    const Index lines = rows ? source.rows : source.columns, length = rows ? source.columns : source.rows;
    for (Index i = 0; i < lines; ++i) {
      const T* line = source.line(i, 0, length, buffer);
      for (Index j = 0; j < length; ++j) out[rows ? i * length + j : j * lines + i] = line[j];
    }
  };
  copy(a, a_copy);
  copy(b, b_copy);
  parallel_for(c.rows * c.columns * k < 65536 ? 1 : threads, c.rows, [&](Index i) {
    T* row = c.data + i * c.row_stride;
    if (beta == T(0)) std::fill_n(row, c.columns, T(0));
    for (Index p = 0; p < k; ++p) {
      for (Index j = 0; j < c.columns; ++j) row[j] += a_copy[i * k + p] * b_copy[p * c.columns + j];
    }
    epilogue(row, i, Index{0}, c.columns);
  });
}

}  // namespace detail

/// c = a b + beta c, then the epilogue on c.
/// a [m, k], b [k, n], c [m, n] row-major and apart from a and b; beta 0 (c is not read) or 1.
/// An operand is a Matrix or a hook with `rows`, `columns`, `lines_are_rows()` and `line(i, first, count, buffer)`, which
/// returns `count` elements of a row (column) from `first`, in the buffer or where they lie. Every element is asked for
/// once, by any thread; along k, `first` is a multiple of 16. `epilogue(values, row, column, count)` may change the
/// finished c(row, column ...), a piece of a row at a time. The same bits for any number of threads.
/// Throws `std::bad_alloc` if the scratch memory cannot grow.
template <class Arch = simd::Native, class T, class A, class B, class Epilogue = NoEpilogue>
  requires GemmOperand<A, T> && GemmOperand<B, T>
void gemm(int threads, Workspace& scratch, const A& a, const B& b, std::type_identity_t<T> beta, const Matrix<T>& c,
          const Epilogue& epilogue = {}) {
  assert(a.rows == c.rows && b.columns == c.columns && a.columns == b.rows && c.column_stride == 1);
  assert(beta == T(0) || beta == T(1));
  if (c.rows == 0 || c.columns == 0) return;
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    if (a.columns > 0) {
      detail::Gemm<T, Arch, A, B, Epilogue> product(a, b, beta, c, epilogue);
      // Waking a second thread takes as long as this many multiplications.
      const int useful = c.rows * c.columns * a.columns < Index{1} << 19 ? 1 : threads;
      product.run(useful, scratch.take<T>(product.scratch(useful)));
      return;
    }
  }
  detail::gemm_plain(threads, scratch, a, b, beta, c, epilogue);
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
