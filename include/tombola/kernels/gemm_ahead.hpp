/// \file
/// What a product reads next, asked for or packed while the micro-kernel multiplies something else.
#pragma once

#include <algorithm>
#include <utility>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// What a tile's product does meanwhile. Nothing by default.
/// Where it reads A along k: the next cache lines of 16 rows, the tile's and those after it, are asked for, `step` elements from one to the next
/// (0: none). Rows in a cache near by are not to be asked for: those after the tile would push out of it what the tile reads.
/// Elsewhere, a part for each k: without a target, two cache lines at data + part * step are asked for; with one, lines of A that run across k
/// are packed: each part is what one tile has of a line.
template <class T>
struct GemmAhead {
  const T* data = nullptr;  ///< what is asked for first; or the first part
  Index step = 0;           ///< from one line to the next
  T* target = nullptr;
  Index tiles = 0;                      ///< parts of a line
  Index apart = 0, target_apart = 0;    ///< from one to the next, in the line and packed
  Index first_tile = 0, parts = 0;      ///< the first part's; how many parts

  /// For a tile that reads A along k.
  static constexpr GemmAhead rows(Index step) noexcept {
    GemmAhead ahead;
    ahead.step = step;
    return ahead;
  }
};

/// Elements of an operand that are read or packed soon, `elements` of each of `lines`: in another order than in memory, or far apart, so that
/// the hardware does not see them coming.
template <class T>
struct GemmWanted {
  static constexpr Index two_cache_lines = 128 / static_cast<Index>(sizeof(T));
  const T* data = nullptr;
  Index elements = 0, step = 0, lines = 0;

  /// How many tiles' products it takes to ask for all.
  Index tiles() const noexcept { return divide_up(elements, two_cache_lines); }
  /// What to ask for meanwhile: two cache lines of each line.
  GemmAhead<T> take() noexcept {
    if (elements <= 0) return {};
    elements -= two_cache_lines;
    GemmAhead<T> now{std::exchange(data, data + two_cache_lines), step};
    now.parts = lines;
    return now;
  }
};

/// Tiles of A that are packed while others are multiplied.
template <class T, Index stride>
struct GemmNextTiles {
  GemmAhead<T> next;
  Index parts_left = 0;

  /// What to pack during `depth` terms.
  GemmAhead<T> take(Index depth) noexcept {
    GemmAhead<T> now = next;
    now.parts = std::min(depth, parts_left);
    parts_left -= now.parts;
    const Index position = next.first_tile + now.parts, lines = position / next.tiles;
    next.first_tile = position % next.tiles;
    next.data += lines * next.step + (next.first_tile - now.first_tile) * next.apart;
    next.target += lines * stride + (next.first_tile - now.first_tile) * next.target_apart;
    return now;
  }
};

namespace detail {

/// Does what a `GemmAhead` says, step by step.
template <class T, class Arch, Index stride>
class Meanwhile {
  static constexpr Index line = 64 / static_cast<Index>(sizeof(T));
  static constexpr Index lines_ahead = 9;  // on Zen 5 better than 6 or 13; a multiple of 4 KiB apart, they fit into a cache of 12 ways

 public:
  explicit Meanwhile(const GemmAhead<T>& ahead) noexcept
      : from_(ahead.data),
        to_(ahead.target),
        step_(ahead.step),
        tiles_(ahead.tiles),
        apart_(ahead.apart),
        target_apart_(ahead.target_apart),
        tiles_left_(ahead.tiles - ahead.first_tile),
        parts_left_(ahead.parts) {}

  bool busy() const noexcept { return from_ != nullptr; }  ///< whether there is a step left

  [[gnu::always_inline]] void step() noexcept {  // between multiplications whose sums a call would push out of the registers
    if (!from_) return;
    if (!to_) {
      __builtin_prefetch(from_, 0, 2);
      __builtin_prefetch(from_ + line, 0, 2);
      from_ += step_;
      if (--parts_left_ == 0) from_ = nullptr;
      return;
    }
    simd::copy<stride, Arch>(from_, to_);
    __builtin_prefetch(from_ + lines_ahead * step_ + (stride - 1));  // its end: where it begins, the part before it ends
    if (--tiles_left_ > 0) {
      from_ += apart_;
      to_ += target_apart_;
    } else {
      from_ += step_ - (tiles_ - 1) * apart_;
      to_ += stride - (tiles_ - 1) * target_apart_;
      tiles_left_ = tiles_;
    }
    if (--parts_left_ == 0) from_ = nullptr;
  }

 private:
  const T* from_;
  T* to_;
  const Index step_, tiles_, apart_, target_apart_;
  Index tiles_left_, parts_left_;
};

}  // namespace detail
}  // namespace tombola::inline TOMBOLA_ISA::kernels
