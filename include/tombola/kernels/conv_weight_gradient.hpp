/// \file
/// The weight gradient of a convolution: for each tap a product over all outputs, read where the images lie.
#pragma once

#include "tombola/kernels/conv_correlate.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Where the gradient of a correlation's taps goes: tap (p, q, c) of column o to dw[o row + p line + q depth + c].
struct TapPlaces {
  Index row, line;
};

/// dw (o, p, q, c) = sum over (n, i, j) of dy[n, i, j, o] x[n, i step_y + p tap_y - low_y, j step_x + q tap_x - low_x, first + c].
/// Blocks of images are summed apart, in slices whose number depends on the extents alone, and added in order.
template <class T, class Arch>
class CorrelateGradient {
  using Tile = GemmTile<T, Arch>;

 public:
  CorrelateGradient(const Correlation& c, const TapPlaces& places) noexcept
      : c_(c),
        places_(places),
        size_(c, 512),
        tap_by_tap_(!c.inside() && reads_in_place(c) && c.depth >= Tile::columns && c.step_y * c.step_x == 1 && c.out_y * c.out_x <= most_pixels),
        copies_(!tap_by_tap_ && !(c.inside() && reads_in_place(c))),
        tiles_(divide_up(c.columns, Tile::rows)) {
    constexpr Index most = Index{1} << 21;  // elements of all slices
    slices_ = std::clamp<Index>(most / weights(), 1, std::clamp<Index>(blocks(), 1, 16));
    while (slices_ * tile_blocks_ < 16 && tiles_ / tile_blocks_ >= 8) tile_blocks_ *= 2;
  }

  /// Elements of scratch memory.
  Index scratch(Index threads) const noexcept { return round_up(sums(), 16) + threads * padded(); }

  /// dw, written or added to.
  void run(const Threads& threads, const T* x, const T* dy, T* dw, bool add, T* scratch) const noexcept {
    T* padded = scratch + round_up(sums(), 16);
    parallel_for(threads, slices_ * tile_blocks_, [&](Index chunk, int worker) {
      const Index slice = chunk / tile_blocks_;
      const Range tiles = EvenParts(tiles_, tile_blocks_)[chunk % tile_blocks_], part = EvenParts(blocks(), slices_)[slice];
      T* to = slices_ == 1 ? dw : scratch + slice * weights();
      const TapPlaces places = slices_ == 1 ? places_ : TapPlaces{c_.terms(), c_.taps_x * c_.depth};
      for (Index number = part.first; number < part.last; ++number) {
        const bool adds = number > part.first || (slices_ == 1 && add);
        if (tap_by_tap_) {
          const Range images{number * size_.images, std::min(c_.images, (number + 1) * size_.images)};
          add_taps(images, tiles, x, dy, to, places, adds);
        } else {
          add_block(detail::image_block(c_, size_, number, x, copies_, padded + worker * this->padded()), tiles, dy, to, places, adds);
        }
      }
    });
    if (slices_ == 1) return;
    const Index line = c_.taps_x * c_.depth;
    parallel_for(threads, c_.columns * c_.taps_y, [&](Index chunk) {
      T* to = dw + chunk / c_.taps_y * places_.row + chunk % c_.taps_y * places_.line;
      for (Index i = 0; i < line; ++i) {
        T sum = add ? to[i] : T(0);
        for (Index slice = 0; slice < slices_; ++slice) sum += scratch[slice * weights() + chunk * line + i];
        to[i] = sum;
      }
    });
  }

 private:
  static constexpr Index most_pixels = 64;  ///< from there on padding is little

  /// Without masked loads, the last register of a line is read whole: past the end of x, if x is read where it lies.
  static constexpr bool reads_in_place(const Correlation& c) noexcept { return simd::is_avx512<Arch> || c.depth % Tile::width == 0; }

  /// Tap after tap, from the outputs that read inside of the image with it alone: small images have many that do not, and no padding
  /// is needed.
  void add_taps(Range images, Range tiles, const T* x, const T* dy, T* dw, const TapPlaces& places, bool add) const noexcept {
    const Index registers = divide_up(c_.depth, Tile::width), panels = divide_up(registers, Tile::registers);
    const EvenParts parts(registers, panels);
    const Index x_line = c_.width * c_.channels, x_image = c_.height * x_line;
    for (Index p = 0; p < c_.taps_y; ++p) {
      const Index from_y = p * c_.tap_y - c_.low_y;
      const Range lines = kernels::inside(c_.out_y, c_.step_y, from_y, c_.height);
      for (Index q = 0; q < c_.taps_x; ++q) {
        const Index from_x = q * c_.tap_x - c_.low_x;
        const Range pixels = kernels::inside(c_.out_x, c_.step_x, from_x, c_.width);
        detail::OutputAxes axes{{pixels.size(), c_.step_x * c_.channels, c_.y_pixel},
                                {lines.size(), c_.step_y * x_line, c_.y_line},
                                {images.size(), x_image, c_.y_image}};
        axes.order(16);
        const GemmPieces outputs = axes.pieces();
        const T* a = dy + images.first * c_.y_image + lines.first * c_.y_line + pixels.first * c_.y_pixel;
        const T* b = x + images.first * x_image + (lines.first * c_.step_y + from_y) * x_line + (pixels.first * c_.step_x + from_x) * c_.channels + c_.first;
        for (Index panel = 0; panel < panels; ++panel) {
          const Range part = parts[panel];
          const Range columns{part.first * Tile::width, std::min(c_.depth, part.last * Tile::width)};
          for (Index tile = tiles.first; tile < tiles.last; ++tile) {
            const Range rows = rows_[tile];
            T* to = dw + rows.first * places.row + p * places.line + q * c_.depth + columns.first;
            multiply_tile<T, Arch>(rows.size(), columns.size(), axes.along.count, {a + rows.first, axes.along.y}, {b + columns.first, axes.along.x},
                                   to, places.row, add, outputs);
          }
        }
      }
    }
  }
  /// What is worked on at once: images, or lines of some.
  Index blocks() const noexcept { return tap_by_tap_ ? divide_up(c_.images, size_.images) : size_.count(c_); }
  Index weights() const noexcept { return c_.columns * c_.terms(); }
  Index sums() const noexcept { return slices_ > 1 ? slices_ * weights() : 0; }
  Index padded() const noexcept { return copies_ ? size_.template scratch<T, Arch>(c_) : 0; }

  void add_block(const detail::ImageBlock<T>& block, Range tiles, const T* dy, T* dw, const TapPlaces& places, bool add) const noexcept {
    const Index channels = copies_ ? c_.depth : c_.channels;
    const bool joined = c_.tap_x == 1 && channels == c_.depth;
    const Index width = joined ? c_.taps_x * c_.depth : c_.depth, pieces = joined ? 1 : c_.taps_x;
    const Index panels = divide_up(width, Tile::columns);
    const auto axes = detail::OutputAxes::of(c_, block, c_.step_x * channels, 16);
    const GemmPieces outputs = axes.pieces();
    const T* a = dy + block.images.first * c_.y_image + block.lines.first * c_.y_line;
    for (Index p = 0; p < c_.taps_y; ++p) {
      for (Index q = 0; q < pieces; ++q) {
        for (Index panel = 0; panel < panels; ++panel) {
          const Range columns{panel * Tile::columns, std::min(width, (panel + 1) * Tile::columns)};
          const T* b = block.x + p * c_.tap_y * block.line + q * c_.tap_x * channels + columns.first;
          const Index term = p * places.line + q * width + columns.first;
          for (Index tile = tiles.first; tile < tiles.last; ++tile) {
            const Range rows = rows_[tile];
            multiply_tile<T, Arch>(rows.size(), columns.size(), axes.along.count, {a + rows.first, axes.along.y},
                                   {b, axes.along.x}, dw + rows.first * places.row + term, places.row, add, outputs);
          }
        }
      }
    }
  }

  const Correlation c_;
  const TapPlaces places_;
  const detail::BlockSize size_;
  const bool tap_by_tap_;
  const bool copies_;
  const Index tiles_;
  const EvenParts rows_{c_.columns, tiles_};
  Index slices_ = 1, tile_blocks_ = 1;
};

}  // namespace tombola::inline TOMBOLA_ISA::kernels
