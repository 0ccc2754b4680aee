/// \file
/// Correlation of images with packed taps: what a convolution is forwards and, stride by stride, what its input's gradient is.
#pragma once

#include <algorithm>
#include <cstring>

#include "tombola/kernels/gemm_pack.hpp"
#include "tombola/kernels/gemm_plan.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Those i of [0, count) for which i step + offset lies in [0, size): outputs that read inside of an image with one tap, or taps with
/// which one output does.
constexpr Range inside(Index count, Index step, Index offset, Index size) noexcept {
  const Index first = offset >= 0 ? 0 : divide_up(-offset, step), last = offset >= size ? 0 : std::min(count, (size - 1 - offset) / step + 1);
  return {first, std::max(first, last)};
}

/// Taps of one axis that some output reads inside of the image: [first, first + count) of `taps`; at least one.
struct UsedTaps {
  Index first, count;

  /// Output i < outputs reads with tap t at i step + t tap - low.
  constexpr UsedTaps(Index outputs, Index step, Index taps, Index tap, Index low, Index size) noexcept : first(0), count(taps) {
    const auto used = [&](Index t) { return kernels::inside(outputs, step, t * tap - low, size).size() > 0; };
    while (count > 1 && !used(first)) ++first, --count;
    while (count > 1 && !used(first + count - 1)) --count;
  }
};

/// y[n, i, j, o] = sum over (p, q, c) of x[n, i step_y + p tap_y - low_y, j step_x + q tap_x - low_x, first + c] w[(p, q, c), o],
/// zero outside of x.  x [images, height, width, channels], of which `depth` channels from `first` on; o < columns.
struct Correlation {
  Index images, height, width, channels, first, depth;
  Index low_y, low_x;    ///< padding before the image; below zero: how far into it the first output begins
  Index step_y, step_x;  ///< from one output to the next
  Index taps_y, taps_x, tap_y, tap_x;
  Index out_y, out_x, columns;
  Index y_image, y_line, y_pixel;  ///< elements between neighbouring outputs

  constexpr Index padded_height(Index lines) const noexcept { return (lines - 1) * step_y + (taps_y - 1) * tap_y + 1; }
  constexpr Index padded_width() const noexcept { return (out_x - 1) * step_x + (taps_x - 1) * tap_x + 1; }
  /// Terms of one output.
  constexpr Index terms() const noexcept { return taps_y * taps_x * depth; }
  /// Whether the taps of a line and their channels lie together.
  constexpr bool joined() const noexcept { return tap_x == 1 && channels == depth; }
  /// Whether the images can be read where they lie.
  constexpr bool inside() const noexcept {
    return low_y <= 0 && low_x <= 0 && padded_height(out_y) - low_y <= height && padded_width() - low_x <= width;
  }
};

namespace detail {

/// Some output lines of some images, and where their inputs lie.
template <class T>
struct ImageBlock {
  Range images, lines;
  const T* x;  ///< the first tap of the first output
  Index image, line;  ///< elements from one input image, or line, to the next
};

/// How many images, or else how many lines of one, are worked on at once: what they need stays in the second-level cache.
struct BlockSize {
  Index images, lines;

  explicit BlockSize(const Correlation& c, Index enough_pixels) noexcept {
    constexpr Index most = 1 << 17;  // elements
    const Index line = c.padded_width() * c.depth, image = c.padded_height(c.out_y) * line;
    lines = c.out_y;
    if (image > most) lines = std::clamp<Index>((most / line - (c.taps_y - 1) * c.tap_y - 1) / c.step_y + 1, 1, c.out_y);
    images = lines < c.out_y ? 1 : std::clamp<Index>(divide_up(enough_pixels, c.out_y * c.out_x), 1, std::max<Index>(1, most / image));
    images = std::clamp<Index>(c.images, 1, images);
  }
  Index count(const Correlation& c) const noexcept { return divide_up(c.images, images) * divide_up(c.out_y, lines); }
  /// Elements of a padded block. The last register of a line may be read whole.
  template <class T, class Arch>
  Index scratch(const Correlation& c) const noexcept {
    return round_up(images * c.padded_height(lines) * c.padded_width() * c.depth + GemmTile<T, Arch>::columns, 16);
  }
};

/// Block `number`, read where it lies or else copied to `padded`, with zeros around.
template <class T>
ImageBlock<T> image_block(const Correlation& c, const BlockSize& size, Index number, const T* x, bool copies, T* padded) noexcept {
  const Index per_image = divide_up(c.out_y, size.lines), group = number / per_image, part = number % per_image;
  const Range images{group * size.images, std::min(c.images, (group + 1) * size.images)};
  const Range lines{part * size.lines, std::min(c.out_y, (part + 1) * size.lines)};
  const Index x_line = c.width * c.channels, x_image = c.height * x_line;
  if (!copies) {
    const T* first = x + images.first * x_image + (lines.first * c.step_y - c.low_y) * x_line - c.low_x * c.channels + c.first;
    return {images, lines, first, x_image, x_line};
  }
  const Index height = c.padded_height(lines.size()), width = c.padded_width(), line = width * c.depth;
  const Index before = std::clamp<Index>(c.low_x, 0, width), from = std::max<Index>(0, -c.low_x);
  const Index inside = std::clamp<Index>(std::min(width - before, c.width - from), 0, width);
  T* to = padded;
  for (Index n = images.first; n < images.last; ++n) {
    for (Index row = 0; row < height; ++row, to += line) {
      const Index source = lines.first * c.step_y + row - c.low_y;
      if (source < 0 || source >= c.height) {
        std::fill_n(to, line, T(0));
        continue;
      }
      std::fill_n(to, before * c.depth, T(0));
      const T* pixels = x + n * x_image + source * x_line + from * c.channels + c.first;
      if (c.depth == c.channels) {
        std::copy_n(pixels, inside * c.depth, to + before * c.depth);
      } else {
        for (Index i = 0; i < inside; ++i) std::copy_n(pixels + i * c.channels, c.depth, to + (before + i) * c.depth);
      }
      std::fill_n(to + (before + inside) * c.depth, (width - before - inside) * c.depth, T(0));
    }
  }
  return {images, lines, padded, height * line, line};
}

/// One of the three axes of the outputs: how many there are, and how far apart.
struct Axis {
  Index count, x, y;
};

/// Some outputs: an axis to run along, and two around it.
struct OutputAxes {
  Axis along, around, outside;

  /// Those of a block, in order.
  template <class T>
  static OutputAxes of(const Correlation& c, const ImageBlock<T>& block, Index pixel, Index long_enough) noexcept {
    OutputAxes axes{{c.out_x, pixel, c.y_pixel},
                    {block.lines.size(), c.step_y * block.line, c.y_line},
                    {block.images.size(), block.image, c.y_image}};
    axes.order(long_enough);
    return axes;
  }
  /// Runs along the lines where they are long, else along the longest axis.
  void order(Index long_enough) noexcept {
    if (along.count >= long_enough) return;
    if (around.count > along.count) std::swap(along, around);
    if (outside.count > along.count) std::swap(along, outside);
  }
  /// The two axes around, where the outputs are terms.
  GemmPieces pieces() const noexcept {
    return {.outer = outside.count, .a_outer = outside.y, .b_outer = outside.x, .inner = around.count, .a_inner = around.y, .b_inner = around.x};
  }
};

}  // namespace detail

/// Elements of packed taps: panels of columns, each with the terms (p, q, c) in order.
template <class T, class Arch>
Index packed_taps(const Correlation& c) noexcept {
  return divide_up(c.columns, GemmTile<T, Arch>::columns) * GemmTile<T, Arch>::columns * c.terms();
}

/// A correlation, in chunks of a block of images by a few panels of columns: see `Correlation`.
template <class T, class Arch>
class Correlate {
  using Tile = GemmTile<T, Arch>;

 public:
  explicit Correlate(const Correlation& c) noexcept
      : c_(c),
        size_(c, 64),
        across_(c.joined() && !c.inside() && c.images >= Tile::rows && c.out_y * c.out_x <= across_pixels),
        copies_(!across_ && !c.inside()),
        panels_(divide_up(c.columns, Tile::columns)) {
    // Enough chunks for some threads, but not so few panels in each that copying the images counts.
    while (blocks() * panel_blocks_ < 16 && panels_ / panel_blocks_ >= 2 && c.terms() >= 256) panel_blocks_ *= 2;
    panel_blocks_ = std::min(panel_blocks_, panels_);
  }

  Index scratch() const noexcept { return copies_ ? size_.template scratch<T, Arch>(c_) : 0; }

  void run(const Threads& threads, const T* x, const T* packed, T* y, bool add, T* scratch) const noexcept {
    parallel_for(threads, blocks() * panel_blocks_, [&](Index chunk, int worker) {
      const Range panels = EvenParts(panels_, panel_blocks_)[chunk % panel_blocks_];
      if (across_) {
        const Range images = EvenParts(c_.images, blocks())[chunk / panel_blocks_];
        for (Index panel = panels.first; panel < panels.last; ++panel) multiply_across(images, panel, x, packed, y, add);
        return;
      }
      const auto block = detail::image_block(c_, size_, chunk / panel_blocks_, x, copies_, scratch + worker * this->scratch());
      for (Index panel = panels.first; panel < panels.last; ++panel) multiply_panel(block, panel, packed, y, add);
    });
  }

 private:
  static constexpr Index most = 4 * Tile::depth;  ///< terms between two visits to y: a panel of these stays in the second-level cache
  static constexpr Index across_pixels = 256;  ///< from there on padding is little

  Index blocks() const noexcept {
    if (!across_) return size_.count(c_);
    constexpr Index enough = 128;  // outputs for each visit to the taps
    return std::max<Index>(1, c_.images / round_up(divide_up(enough, c_.out_y * c_.out_x), Tile::rows));
  }

  /// The same output of neighbouring images makes a tile: taps that this output reads outside of the image are left out, which small
  /// images have many of, and no padding is needed.
  void multiply_across(Range images, Index panel, const T* x, const T* packed, T* y, bool add) const noexcept {
    const Range columns{panel * Tile::columns, std::min(c_.columns, (panel + 1) * Tile::columns)};
    const T* taps = packed + panel * Tile::columns * c_.terms();
    const Index terms = c_.taps_x * c_.depth, lines = std::clamp<Index>(most / terms, 1, c_.taps_y);
    for (Index p = 0; p < c_.taps_y; p += lines) {
      for (Index k = 0; k < terms; k += most) {
        for (Index i = 0; i < c_.out_y; ++i) {
          const Range used_y = kernels::inside(c_.taps_y, c_.tap_y, i * c_.step_y - c_.low_y, c_.height);
          const Range part_y{std::max(p, used_y.first), std::min(p + lines, used_y.last)};
          for (Index j = 0; j < c_.out_x; ++j) {
            const Range used_x = kernels::inside(c_.taps_x, 1, j * c_.step_x - c_.low_x, c_.width);
            const Range part_x{std::max(k, used_x.first * c_.depth), std::min(k + most, used_x.last * c_.depth)};
            T* to = y + images.first * c_.y_image + i * c_.y_line + j * c_.y_pixel + columns.first;
            if (used_y.size() == 0 || used_x.size() == 0) {
              if (!add && p == 0 && k == 0) clear(images.size(), columns.size(), to);
            } else if (part_y.first < part_y.last && part_x.first < part_x.last) {
              const bool adds = add || part_y.first > used_y.first || part_x.first > used_x.first * c_.depth;
              const T* a = x + images.first * x_image() + (i * c_.step_y + part_y.first * c_.tap_y - c_.low_y) * c_.width * c_.channels +
                           (j * c_.step_x - c_.low_x) * c_.channels + part_x.first;
              multiply_images(images.size(), columns.size(), part_y.size(), part_x.size(), a,
                              taps + (part_y.first * terms + part_x.first) * Tile::columns, to, adds);
            }
          }
        }
      }
    }
  }
  /// One output of some images, for `depth` terms of each of some lines of taps.
  void multiply_images(Index images, Index columns, Index lines, Index depth, const T* a, const T* b, T* to, bool add) const noexcept {
    const GemmPieces pieces{.outer = lines, .a_outer = c_.tap_y * c_.width * c_.channels, .b_outer = c_.taps_x * c_.depth * Tile::columns};
    const Index tiles = divide_up(images, Tile::rows);
    const EvenParts parts(images, tiles);
    for (Index tile = 0; tile < tiles; ++tile) {
      const Range rows = parts[tile];
      T* tile_of_y = to + rows.first * c_.y_image;
      if (asks_for_y()) ask_for_tile(rows.size(), columns, tile_of_y, c_.y_image);
      multiply_tile<T, Arch>(rows.size(), columns, depth, {a + rows.first * x_image(), x_image(), true}, {b, Tile::columns},
                             tile_of_y, c_.y_image, add, pieces, GemmAhead<T>::rows(x_image()));
    }
  }
  void clear(Index images, Index columns, T* to) const noexcept {
    for (Index n = 0; n < images; ++n) std::fill_n(to + n * c_.y_image, columns, T(0));
  }
  bool asks_for_y() const noexcept { return leaves_cache<T>(c_.images * c_.y_image); }
  Index x_image() const noexcept { return c_.height * c_.width * c_.channels; }

  void multiply_panel(const detail::ImageBlock<T>& block, Index panel, const T* packed, T* y, bool add) const noexcept {
    const Range columns{panel * Tile::columns, std::min(c_.columns, (panel + 1) * Tile::columns)};
    const T* taps = packed + panel * Tile::columns * c_.terms();
    // Neighbouring taps of a line are one piece where nothing lies between them.
    const Index channels = copies_ ? c_.depth : c_.channels;
    const bool joined = c_.tap_x == 1 && channels == c_.depth;  // in the copy, which has the depth's channels alone
    const Index depth = joined ? c_.taps_x * c_.depth : c_.depth, pieces = joined ? 1 : c_.taps_x;
    const Index lines = std::clamp<Index>(most / (depth * pieces), 1, c_.taps_y);
    for (Index p = 0; p < c_.taps_y; p += lines) {
      const GemmPieces whole{.outer = std::min(lines, c_.taps_y - p),
                             .a_outer = c_.tap_y * block.line,
                             .b_outer = pieces * depth * Tile::columns,
                             .inner = pieces,
                             .a_inner = c_.tap_x * channels,
                             .b_inner = depth * Tile::columns};
      const T* a = block.x + p * whole.a_outer;
      const T* b = taps + p * whole.b_outer;
      if (depth * pieces <= most) {
        multiply_block(block, columns, a, b, depth, whole, y, add || p > 0);
        continue;
      }
      for (Index q = 0; q < pieces; ++q) {
        for (Index k = 0; k < depth; k += most) {
          multiply_block(block, columns, a + q * whole.a_inner + k, b + q * whole.b_inner + k * Tile::columns,
                         std::min(most, depth - k), {}, y, add || p + q + k > 0);
        }
      }
    }
  }

  /// All outputs of a block, for some terms.
  void multiply_block(const detail::ImageBlock<T>& block, Range columns, const T* a, const T* b, Index depth,
                      const GemmPieces& pieces, T* y, bool add) const noexcept {
    const Index channels = copies_ ? c_.depth : c_.channels;
    const auto axes = detail::OutputAxes::of(c_, block, c_.step_x * channels, 6);
    const Index tiles = divide_up(axes.along.count, Tile::rows);
    const EvenParts parts(axes.along.count, tiles);
    T* first = y + block.images.first * c_.y_image + block.lines.first * c_.y_line + columns.first;
    for (Index outside = 0; outside < axes.outside.count; ++outside) {
      for (Index around = 0; around < axes.around.count; ++around) {
        const T* line = a + outside * axes.outside.x + around * axes.around.x;
        T* to = first + outside * axes.outside.y + around * axes.around.y;
        for (Index tile = 0; tile < tiles; ++tile) {
          const Range rows = parts[tile];
          T* tile_of_y = to + rows.first * axes.along.y;
          if (asks_for_y()) ask_for_tile(rows.size(), columns.size(), tile_of_y, axes.along.y);
          multiply_tile<T, Arch>(rows.size(), columns.size(), depth, {line + rows.first * axes.along.x, axes.along.x, true},
                                 {b, Tile::columns}, tile_of_y, axes.along.y, add, pieces, GemmAhead<T>::rows(axes.along.x));
        }
      }
    }
  }

  const Correlation c_;
  const detail::BlockSize size_;
  const bool across_;  ///< the same output of several images in a tile
  const bool copies_;
  const Index panels_;
  Index panel_blocks_ = 1;
};

}  // namespace tombola::inline TOMBOLA_ISA::kernels
