/// \file
/// Winograd's algorithm, the transforms: images and taps to the points at which they are multiplied, and products back.
#pragma once

#include <array>
#include <utility>

#include "tombola/core/memory.hpp"
#include "tombola/kernels/gemm_pack.hpp"
#include "tombola/kernels/gemm_plan.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Along one axis, 4 outputs of 3 taps are coefficients of a product of two polynomials, for which 6 of its values are enough: inputs and
/// taps are brought to 6 points, multiplied there, and the outputs interpolated. Channels are summed before that, so that for each of the
/// 36 points of both axes there is one product of matrices. The gradient by the taps is the same with 3 outputs of 4 taps: a tile of dy.
/// The points 0, +-sqrt(1/2), +-sqrt(2) and infinity keep all factors near 1: in float, errors stay below 1e-5 of the largest output.
/// Sources: Winograd, Arithmetic complexity of computations, 1980; Lavin and Gray, arXiv 1509.09308; points: Barabasz et al., arXiv 1803.10986.
namespace winograd {

inline constexpr Index taps = 3, outputs = 4, points = 6, planes = points * points;

/// The transforms along one axis, of a register of channels at a time.
template <class T, class Arch>
struct Axis {
  using V = simd::Batch<T, Arch>;
  static constexpr T root_half = T(0.707106781186547524400844362104849L), root_two = T(1.41421356237309504880168872420969808L);

  static V fma(T factor, const V& a, const V& b) noexcept { return simd::fma(V(factor), a, b); }

  /// Inputs at the points.
  static std::array<V, points> inputs(const std::array<V, points>& d) noexcept {
    const V even = fma(T(-2), d[2], d[4]), odd = V(root_half) * fma(T(-2), d[1], d[3]);
    const V even_two = fma(T(-0.5), d[2], d[4]), odd_two = V(root_two) * fma(T(-0.5), d[1], d[3]);
    return {fma(T(-2.5), d[2], d[0] + d[4]), even + odd, even - odd, even_two + odd_two, even_two - odd_two,
            fma(T(-2.5), d[3], d[1] + d[5])};
  }
  /// Three taps at the points.
  static std::array<V, points> three(const std::array<V, taps>& g) noexcept {
    const V even = V(T(-2) / 3) * fma(T(0.5), g[2], g[0]), even_two = V(T(1) / 6) * fma(T(2), g[2], g[0]);
    const T odd = T(-2) / 3 * root_half, odd_two = T(1) / 6 * root_two;
    return {g[0], fma(odd, g[1], even), fma(-odd, g[1], even), fma(odd_two, g[1], even_two), fma(-odd_two, g[1], even_two), g[2]};
  }
  /// Four taps at the points.
  static std::array<V, points> four(const std::array<V, outputs>& g) noexcept {
    const V even = V(T(-2) / 3) * fma(T(0.5), g[2], g[0]), even_two = V(T(1) / 6) * fma(T(2), g[2], g[0]);
    const V odd = fma(T(0.5), g[3], g[1]), odd_two = fma(T(2), g[3], g[1]);
    const T factor = T(-2) / 3 * root_half, factor_two = T(1) / 6 * root_two;
    return {g[0], fma(factor, odd, even), fma(-factor, odd, even), fma(factor_two, odd_two, even_two), fma(-factor_two, odd_two, even_two), g[3]};
  }
  /// Four outputs from the products at the points.
  static std::array<V, outputs> four_outputs(const std::array<V, points>& m) noexcept {
    const V even = m[1] + m[2], odd = V(root_half) * (m[1] - m[2]), even_two = m[3] + m[4], odd_two = V(root_two) * (m[3] - m[4]);
    return {m[0] + even + even_two, odd + odd_two, fma(T(0.5), even, even_two + even_two), fma(T(0.5), odd, fma(T(2), odd_two, m[5]))};
  }
  /// Three outputs from the products at the points.
  static std::array<V, taps> three_outputs(const std::array<V, points>& m) noexcept {
    const V even = m[1] + m[2], odd = V(root_half) * (m[1] - m[2]), even_two = m[3] + m[4], odd_two = V(root_two) * (m[3] - m[4]);
    return {m[0] + even + even_two, odd + odd_two, fma(T(0.5), even, fma(T(2), even_two, m[5]))};
  }
};

template <auto transform, std::size_t N, std::size_t M, class V, class Load, class Store>
void along_both(std::array<V, M> (*)(const std::array<V, N>&) noexcept, const Load& load, const Store& store) noexcept {
  V half[M][N];
  // Elements of an array are named one by one, so that it stays in registers.
  const auto column = [&]<std::size_t... From, std::size_t... To>(std::size_t j, std::index_sequence<From...>, std::index_sequence<To...>) {
    const std::array<V, M> result = transform({load(static_cast<Index>(From), static_cast<Index>(j))...});
    ((half[To][j] = result[To]), ...);
  };
#pragma GCC unroll 6
  for (std::size_t j = 0; j < N; ++j) column(j, std::make_index_sequence<N>(), std::make_index_sequence<M>());
  const auto row = [&]<std::size_t... From, std::size_t... To>(std::size_t i, std::index_sequence<From...>, std::index_sequence<To...>) {
    const std::array<V, M> result = transform({half[i][From]...});
    (store(static_cast<Index>(i), static_cast<Index>(To), result[To]), ...);
  };
#pragma GCC unroll 6
  for (std::size_t i = 0; i < M; ++i) row(i, std::make_index_sequence<N>(), std::make_index_sequence<M>());
}
/// `transform`, a function of Axis, along both axes: `load(i, j)` gives the N x N values, `store(i, j, value)` takes the M x M results.
template <auto transform, class Load, class Store>
void along_both(const Load& load, const Store& store) noexcept {
  along_both<transform>(transform, load, store);
}

/// Images whose tiles are transformed: tile (i, j) begins at pixel (4 i - low_y, 4 j - low_x).
struct TiledImages {
  Index images, height, width, channels;
  Index low_y, low_x, tiles_y, tiles_x;

  constexpr Index tiles() const noexcept { return images * tiles_y * tiles_x; }
  constexpr Index pixel(Index image, Index y, Index x) const noexcept { return ((image * height + y) * width + x) * channels; }
  /// A tile's image, and its first pixel, which may lie in the padding.
  struct Corner {
    Index image, y, x;
  };
  constexpr Corner corner(Index tile) const noexcept {
    return {tile / (tiles_y * tiles_x), tile / tiles_x % tiles_y * outputs - low_y, tile % tiles_x * outputs - low_x};
  }
};

/// What lies at one point after the other: for each a matrix [tiles, channels], and lines between them that keep them from falling into
/// the same places of the caches.
template <class T>
struct Planes {
  T* data;
  Index stride, plane;

  static constexpr Index line = alignment / sizeof(T);
  Planes(T* data, Index rows, Index channels) noexcept : data(data), stride(row(channels)), plane(size_of_one(rows, channels)) {}
  T* at(Index point, Index row, Index channel = 0) const noexcept { return data + point * plane + row * stride + channel; }
  static constexpr Index size(Index rows, Index channels) noexcept { return planes * size_of_one(rows, channels); }

 private:
  static constexpr Index row(Index channels) noexcept { return round_up(channels, line) + line; }
  static constexpr Index size_of_one(Index rows, Index channels) noexcept { return rows * row(channels) + line; }
};

/// Where the pixels of a tile lie; `zeros` stands for what lies outside of the image.
template <class T, Index Size>
struct TilePixels {
  const T* at[Size][Size];

  TilePixels(const TiledImages& from, Index tile, const T* x, const T* zeros) noexcept {
    const TiledImages::Corner corner = from.corner(tile);
    for (Index i = 0; i < Size; ++i) {
      const bool line = corner.y + i >= 0 && corner.y + i < from.height;
      for (Index j = 0; j < Size; ++j) {
        at[i][j] = line && corner.x + j >= 0 && corner.x + j < from.width ? x + from.pixel(corner.image, corner.y + i, corner.x + j) : zeros;
      }
    }
  }
};

/// Size x Size pixels of each tile at the points. `zeros`: as many as there are channels.
template <class T, class Arch, Index Size>
void tiles_to_points(const Threads& threads, const TiledImages& from, Range tiles, const T* x, const T* zeros, const Planes<T>& to) noexcept {
  constexpr Index width = simd::width<T, Arch>;
  parallel_ranges(threads, tiles.size(), 8, [&](Range rows) {
    TilePixels<T, Size> next(from, tiles.first + rows.first, x, zeros);
    for (Index row = rows.first; row < rows.last; ++row) {
      const TilePixels<T, Size> pixels = next;
      next = TilePixels<T, Size>(from, std::min(tiles.first + row + 1, from.tiles() - 1), x, zeros);
      for (Index c = 0; c < from.channels; c += width) {
        for (const auto& line : next.at) {
          for (const T* pixel : line) __builtin_prefetch(pixel + c);
        }
        const Index count = std::min(width, from.channels - c);
        const auto load = [&](Index i, Index j) { return simd::load_up_to<T, Arch>(pixels.at[i][j] + c, count); };
        const auto store = [&](Index i, Index j, const simd::Batch<T, Arch>& v) { simd::store(to.at(i * points + j, row, c), v); };
        if constexpr (Size == points) {
          along_both<&Axis<T, Arch>::inputs>(load, store);
        } else {
          along_both<&Axis<T, Arch>::four>(load, store);
        }
      }
    }
  });
}

/// Four outputs by four from the products at the points, written, or added to.
template <class T, class Arch>
void points_to_tiles(const Threads& threads, const Planes<T>& from, const TiledImages& to, Range tiles, T* y, bool add) noexcept {
  constexpr Index width = simd::width<T, Arch>;
  parallel_ranges(threads, tiles.size(), 4, [&](Range rows) {
    for (Index row = rows.first; row < rows.last; ++row) {
      const TiledImages::Corner corner = to.corner(tiles.first + row);
      T* first = y + to.pixel(corner.image, corner.y, corner.x);
      for (Index c = 0; c < to.channels; c += width) {
        const Index count = std::min(width, to.channels - c);
        along_both<&Axis<T, Arch>::four_outputs>([&](Index i, Index j) { return simd::load<T, Arch>(from.at(i * points + j, row, c)); },
            [&](Index i, Index j, const simd::Batch<T, Arch>& v) {
              if (corner.y + i >= to.height || corner.x + j >= to.width) return;
              T* at = first + (i * to.width + j) * to.channels + c;
              simd::store_up_to(at, add ? simd::load_up_to<T, Arch>(at, count) + v : v, count);
            });
      }
    }
  });
}

/// Matrices [depth, columns], one at each point, packed panel by panel: panel after panel, each `depth` lines of its registers.
template <class T, class Arch>
struct PackedTaps {
  using Tile = GemmTile<T, Arch>;
  T* data;
  Index depth, columns;
  Index registers = divide_up(columns, Tile::width), panels = divide_up(registers, Tile::registers);
  Index plane = size_of_one(depth, columns);

  static constexpr Index size(Index depth, Index columns) noexcept { return planes * size_of_one(depth, columns); }
  Range panel(Index number) const noexcept { return EvenParts(registers, panels)[number]; }
  /// Line k of the panel of `registers` at a point.
  T* at(Index point, Range registers, Index k) const noexcept {
    return data + point * plane + (registers.first * depth + k * registers.size()) * Tile::width;
  }
  /// Where register r of line 0 lies, and how far it is to that of line 1.
  std::pair<T*, Index> of_register(Index r) const noexcept {
    Index number = 0;
    while (panel(number).last <= r) ++number;
    return {at(0, panel(number), 0) + (r - panel(number).first) * Tile::width, panel(number).size() * Tile::width};
  }

 private:
  static constexpr Index size_of_one(Index depth, Index columns) noexcept {
    return round_up(columns, Tile::width) * depth + static_cast<Index>(alignment / sizeof(T));
  }
};

/// w [columns, 3, 3, depth] at the points. `buffer`: for each thread 9 depth registers.
template <class T, class Arch>
void taps_to_points(const Threads& threads, const T* w, const PackedTaps<T, Arch>& to, T* buffer) noexcept {
  constexpr Index width = simd::width<T, Arch>, all = taps * taps;
  parallel_for(threads, to.registers, [&](Index r, int worker) {
    T* lines = buffer + worker * all * to.depth * width;  // [3, 3, depth, width]
    const Matrix<const T> rows{w, to.columns, all * to.depth, all * to.depth, 1};
    pack_along_k<width, Arch>(rows, {r * width, std::min(to.columns, (r + 1) * width)}, {0, all * to.depth}, lines, lines);
    const auto [first, step] = to.of_register(r);
    for (Index k = 0; k < to.depth; ++k) {
      along_both<&Axis<T, Arch>::three>([&](Index p, Index q) { return simd::load<T, Arch>(lines + ((p * taps + q) * to.depth + k) * width); },
          [&, at = first + k * step](Index i, Index j, const simd::Batch<T, Arch>& v) { simd::store(at + (i * points + j) * to.plane, v); });
    }
  });
}

/// w [depth, 3, 3, columns], last tap first, at the points.
template <class T, class Arch>
void reversed_taps_to_points(const Threads& threads, const T* w, const PackedTaps<T, Arch>& to) noexcept {
  constexpr Index width = simd::width<T, Arch>, all = taps * taps;
  parallel_ranges(threads, to.depth, 4, [&](Range lines) {
    for (Index r = 0; r < to.registers; ++r) {
      const auto [first, step] = to.of_register(r);
      const Index count = std::min(width, to.columns - r * width);
      for (Index k = lines.first; k < lines.last; ++k) {
        const T* from = w + k * all * to.columns + r * width;
        along_both<&Axis<T, Arch>::three>([&](Index p, Index q) { return simd::load_up_to<T, Arch>(from + (all - 1 - p * taps - q) * to.columns, count); },
            [&, at = first + k * step](Index i, Index j, const simd::Batch<T, Arch>& v) { simd::store(at + (i * points + j) * to.plane, v); });
      }
    }
  });
}

}  // namespace winograd

}  // namespace tombola::inline TOMBOLA_ISA::kernels
