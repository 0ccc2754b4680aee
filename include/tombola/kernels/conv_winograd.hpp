/// \file
/// Convolution with 3 x 3 taps by Winograd's algorithm: a tile of 4 x 4 outputs costs 36 multiplications instead of 144.
#pragma once

#include "tombola/kernels/conv_shape.hpp"
#include "tombola/kernels/winograd_points.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace winograd {

/// How many tiles are worked on at once: a thread's own, if what they need at all points (nearly) stays in its second-level cache and they are
/// enough to use a point's taps well; else those of all threads together, and what they need stays in the last cache.
struct TileBlocks {
  Index tiles, size;
  bool own;

  /// `channels` of inputs and results together.
  TileBlocks(Index tiles, Index channels, bool may_be_own) noexcept : tiles(tiles) {
    constexpr Index second_level = Index{1} << 17, last_level = Index{3} << 19;  // elements
    constexpr Index rows = 8;
    const Index of_tile = planes * channels;
    own = may_be_own && second_level / of_tile >= 2 * rows;
    const Index most = own ? second_level / of_tile / rows * rows : std::max(8 * rows, last_level / of_tile / rows * rows);
    size = std::clamp<Index>(tiles, 1, most);
  }
  Index count() const noexcept { return divide_up(tiles, size); }
  Range operator[](Index number) const noexcept { return {number * size, std::min(tiles, (number + 1) * size)}; }
};

/// Calls `multiply(point, panel)` for every point and panel.
template <class Multiply>
void for_each_product(const Threads& threads, Index panels, const Multiply& multiply) noexcept {
  const Index parts = std::min<Index>(2, panels);  // of a point's panels: chunks for more threads than points
  parallel_for(threads, planes * parts, [&](Index chunk) {
    const Range part = EvenParts(panels, parts)[chunk % parts];
    for (Index panel = part.first; panel < part.last; ++panel) multiply(chunk / parts, panel);
  });
}

/// y = the correlation of x with taps that are packed at the points; y is written, or added to.
template <class T, class Arch>
class Correlation {
  using Tile = GemmTile<T, Arch>;

 public:
  Correlation(const TiledImages& from, const TiledImages& to) noexcept
      : from_(from), to_(to), blocks_(to.tiles(), from.channels + to.channels, true) {}

  /// Elements of scratch memory.
  Index scratch(Index threads) const noexcept { return zeros() + (blocks_.own ? threads : 1) * block(); }
  void run(const Threads& threads, const T* x, const PackedTaps<T, Arch>& taps, T* y, bool add, T* scratch) const noexcept {
    std::fill_n(scratch, from_.channels, T(0));
    if (blocks_.own) {
      const Threads alone(1);
      parallel_for(threads, blocks_.count(), [&](Index number, int worker) {
        run_block(alone, blocks_[number], x, scratch, taps, y, add, scratch + zeros() + worker * block());
      });
    } else {
      for (Index number = 0; number < blocks_.count(); ++number) run_block(threads, blocks_[number], x, scratch, taps, y, add, scratch + zeros());
    }
  }

 private:
  Index zeros() const noexcept { return round_up(from_.channels, Planes<T>::line); }
  Index block() const noexcept { return Planes<T>::size(blocks_.size, from_.channels) + Planes<T>::size(blocks_.size, to_.channels); }

  void run_block(const Threads& threads, Range tiles, const T* x, const T* zeros, const PackedTaps<T, Arch>& taps, T* y, bool add, T* scratch) const noexcept {
    const Planes<T> inputs(scratch, blocks_.size, from_.channels);
    const Planes<T> products(scratch + Planes<T>::size(blocks_.size, from_.channels), blocks_.size, to_.channels);
    tiles_to_points<T, Arch, points>(threads, from_, tiles, x, zeros, inputs);
    for_each_product(threads, taps.panels, [&](Index point, Index panel) { multiply(point, tiles.size(), inputs, taps, panel, products); });
    points_to_tiles<T, Arch>(threads, products, to_, tiles, y, add);
  }
  void multiply(Index point, Index tiles, const Planes<T>& inputs, const PackedTaps<T, Arch>& taps, Index panel, const Planes<T>& products) const noexcept {
    const Range registers = taps.panel(panel);
    const Index first = registers.first * Tile::width, columns = std::min(to_.channels, registers.last * Tile::width) - first;
    const Index count = divide_up(tiles, Tile::rows);
    const EvenParts parts(tiles, count);
    for (Index k = 0; k < taps.depth; k += Tile::depth) {
      const Index depth = std::min(Tile::depth, taps.depth - k);
      for (Index tile = 0; tile < count; ++tile) {
        const Range rows = parts[tile];
        multiply_tile<T, Arch>(rows.size(), columns, depth, {inputs.at(point, rows.first, k), inputs.stride, true},
                               {taps.at(point, registers, k), registers.size() * Tile::width}, products.at(point, rows.first, first), products.stride, k > 0,
                               {}, GemmAhead<T>::rows(inputs.stride));
      }
    }
  }

  const TiledImages from_, to_;
  const TileBlocks blocks_;
};

/// The inputs of a convolution cut into tiles of its outputs, and its outputs.
inline TiledImages tiled_inputs(const ConvShape& s) noexcept {
  return {s.batch, s.height, s.width, s.in, s.padding_y, s.padding_x, divide_up(s.out_height(), outputs), divide_up(s.out_width(), outputs)};
}
inline TiledImages tiled_outputs(const ConvShape& s) noexcept {
  return {s.batch, s.out_height(), s.out_width(), s.out, 0, 0, divide_up(s.out_height(), outputs), divide_up(s.out_width(), outputs)};
}

/// dw [to.channels, 3, 3, from.channels], written or added to: for each point a product over all tiles, block after block of them.
template <class T, class Arch>
class TapsGradient {
  using Tile = GemmTile<T, Arch>;

 public:
  TapsGradient(const TiledImages& from, const TiledImages& to) noexcept : from_(from), to_(to), blocks_(to.tiles(), from.channels + to.channels, false) {}

  /// Elements of scratch memory.
  Index scratch() const noexcept {
    return zeros() + sums() + Planes<T>::size(blocks_.size, from_.channels) + Planes<T>::size(blocks_.size, to_.channels);
  }
  void run(const Threads& threads, const T* x, const T* dy, T* dw, bool add, T* scratch) const noexcept {
    std::fill_n(scratch, zeros(), T(0));
    const Planes<T> sums(scratch + zeros(), to_.channels, from_.channels);
    const Planes<T> inputs(sums.data + this->sums(), blocks_.size, from_.channels);
    const Planes<T> gradients(inputs.data + Planes<T>::size(blocks_.size, from_.channels), blocks_.size, to_.channels);
    for (Index number = 0; number < blocks_.count(); ++number) {
      const Range tiles = blocks_[number];
      tiles_to_points<T, Arch, points>(threads, from_, tiles, x, scratch, inputs);
      tiles_to_points<T, Arch, outputs>(threads, to_, tiles, dy, scratch, gradients);
      for_each_product(threads, panels_,
                       [&](Index point, Index panel) { multiply(point, tiles.size(), inputs, gradients, panel, sums, number > 0); });
    }
    parallel_for(threads, to_.channels, [&](Index row) { points_to_taps(sums, row, dw + row * taps * taps * from_.channels, add); });
  }

 private:
  Index zeros() const noexcept { return round_up(std::max(from_.channels, to_.channels), Planes<T>::line); }
  Index sums() const noexcept { return Planes<T>::size(to_.channels, from_.channels); }

  void multiply(Index point, Index tiles, const Planes<T>& inputs, const Planes<T>& gradients, Index panel, const Planes<T>& sums, bool add) const noexcept {
    const Range columns = EvenUnits<Tile::width>(from_.channels, panels_)[panel];
    const Index count = divide_up(to_.channels, Tile::rows);
    for (Index tile = 0; tile < count; ++tile) {
      const Range rows = EvenParts(to_.channels, count)[tile];
      multiply_tile<T, Arch>(rows.size(), columns.size(), tiles, {gradients.at(point, 0, rows.first), gradients.stride},
                             {inputs.at(point, 0, columns.first), inputs.stride}, sums.at(point, rows.first, columns.first), sums.stride, add);
    }
  }
  void points_to_taps(const Planes<T>& sums, Index row, T* dw, bool add) const noexcept {
    for (Index c = 0; c < from_.channels; c += Tile::width) {
      const Index count = std::min(Tile::width, from_.channels - c);
      along_both<&Axis<T, Arch>::three_outputs>([&](Index i, Index j) { return simd::load<T, Arch>(sums.at(i * points + j, row, c)); },
          [&](Index p, Index q, const simd::Batch<T, Arch>& v) {
            T* at = dw + (p * taps + q) * from_.channels + c;
            simd::store_up_to(at, add ? simd::load_up_to<T, Arch>(at, count) + v : v, count);
          });
    }
  }

  const TiledImages from_, to_;
  const TileBlocks blocks_;
  const Index panels_ = divide_up(from_.channels, Tile::columns);
};

}  // namespace winograd

/// Whether a convolution has 3 x 3 taps without stride, dilation and groups, and so much to do that Winograd's algorithm is the faster one:
/// most of each tile lies in the image, registers are full, and tiles enough pay for bringing the taps to the points.
constexpr bool is_winograd(const ConvShape& s) noexcept {
  const bool plain = s.stride_y == 1 && s.stride_x == 1 && s.dilation_y == 1 && s.dilation_x == 1 && s.groups == 1;
  const bool can = plain && s.kernel_y == winograd::taps && s.kernel_x == winograd::taps;
  const Index pixels = s.out_height() * s.out_width(), tiles = divide_up(s.out_height(), winograd::outputs) * divide_up(s.out_width(), winograd::outputs);
  return can && s.in >= 32 && s.out >= 32 && s.batch * tiles >= 64 && 5 * pixels >= 3 * tiles * winograd::outputs * winograd::outputs;
}

/// y = conv(x, w) of 3 x 3 taps without stride, dilation and groups; y is written, or added to if `add`.
/// Throws `std::bad_alloc` if the scratch memory cannot grow.
template <class T, class Arch = simd::Native>
void winograd_conv(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* w, T* y,
                   bool add = false) {
  using Taps = winograd::PackedTaps<T, Arch>;
  const winograd::Correlation<T, Arch> correlation(winograd::tiled_inputs(s), winograd::tiled_outputs(s));
  const Index packed = round_up(Taps::size(s.in, s.out), 16), buffer = threads.count() * s.taps() * simd::width<T, Arch>;
  T* room = scratch.take<T>(static_cast<std::size_t>(packed + std::max(buffer, correlation.scratch(threads.count()))));
  const Taps taps{room, s.in, s.out};
  winograd::taps_to_points<T, Arch>(threads, w, taps, room + packed);
  correlation.run(threads, x, taps, y, add, room + packed);
}

/// dx = the gradient by x, from dy; written, or added to if `add`.
template <class T, class Arch = simd::Native>
void winograd_input_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* w, const T* dy, T* dx, bool add = false) {
  using namespace winograd;
  const Index tiles_y = divide_up(s.height, outputs), tiles_x = divide_up(s.width, outputs);
  const TiledImages from{s.batch, s.out_height(), s.out_width(), s.out, winograd::taps - 1 - s.padding_y, winograd::taps - 1 - s.padding_x, tiles_y, tiles_x};
  const winograd::Correlation<T, Arch> correlation(from, {s.batch, s.height, s.width, s.in, 0, 0, tiles_y, tiles_x});
  const Index packed = round_up(PackedTaps<T, Arch>::size(s.out, s.in), 16);
  T* room = scratch.take<T>(static_cast<std::size_t>(packed + correlation.scratch(threads.count())));
  const PackedTaps<T, Arch> taps{room, s.out, s.in};
  reversed_taps_to_points<T, Arch>(threads, w, taps);
  correlation.run(threads, dy, taps, dx, add, room + packed);
}

/// dw = the gradient by w, from dy; written, or added to if `add`.
template <class T, class Arch = simd::Native>
void winograd_weight_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* dy, T* dw, bool add = false) {
  const winograd::TapsGradient<T, Arch> gradient(winograd::tiled_inputs(s), winograd::tiled_outputs(s));
  gradient.run(threads, x, dy, dw, add, scratch.take<T>(static_cast<std::size_t>(gradient.scratch())));
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
