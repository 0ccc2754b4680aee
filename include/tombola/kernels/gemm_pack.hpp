/// \file
/// Packing: the elements of an operand, in the order in which the micro-kernel of the product reads them.
#pragma once

#include <algorithm>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/matrix.hpp"
#include "tombola/kernels/transpose.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Packs lines (rows of A, columns of B) that run along k: out[p * Stride + i] = element k.first + p of line
/// lines.first + i, a block of registers transposed at a time. At most Stride lines; `buffer`: width * k.size() elements.
/// `line_stride`: from one line to the next in memory, where the lines after these are wanted soon and are asked for: the hardware does not
/// follow so many lines; or 0.
template <Index Stride, class Arch, class T, class Source>
void pack_along_k(const Source& source, Range lines, Range k, T* out, T* buffer, Index line_stride = 0) noexcept {
  constexpr Index width = simd::width<T, Arch>, most = std::min(Stride, width);
  const Index depth = k.size();
  for (Index group = 0; group < lines.size(); group += most) {
    const Index count = std::min(most, lines.size() - group);
    const T* line[most];
    for (Index i = 0; i < most; ++i) {  // past the last line it is repeated: those places are never used
      line[i] = i < count ? source.line(lines.first + group + i, k.first, depth, buffer + i * depth) : line[count - 1];
    }
    simd::Batch<T, Arch> block[static_cast<std::size_t>(most)];
    for (Index p = 0; p < depth; p += width) {
      const Index left = std::min(width, depth - p);
      if (line_stride != 0) {
        for (Index i = 0; i < count; ++i) __builtin_prefetch(line[i] + p + count * line_stride);
      }
      for (Index i = 0; i < most; ++i) {
        block[i] = left == width ? simd::load<T, Arch>(line[i] + p) : simd::load_part<T, Arch>(line[i] + p, left);
      }
      if constexpr (most < width) {
        simd::transpose_half<T, Arch>(block);
        for (Index i = 0; i < std::min(most, left); ++i) simd::store_low_half(out + (p + i) * Stride, block[i]);
        for (Index i = 0; i < left - most; ++i) simd::store_high_half(out + (p + most + i) * Stride, block[i]);
      } else {
        simd::transpose<T, Arch>(block);
        if (left == width) {
          for (Index i = 0; i < width; ++i) simd::store(out + (p + i) * Stride + group, block[i]);
        } else {
          for (Index i = 0; i < left; ++i) simd::store(out + (p + i) * Stride + group, block[i]);
        }
      }
    }
  }
}

/// How many lines across k are packed side by side, so that whole cache lines are written even of a low tile. More of them, a
/// multiple of a page apart, would not find places in the first-level cache.
inline constexpr Index lines_across = 8;

/// Packs lines (columns of A, rows of B) that run across k, the elements `across` of each, cut into tiles: tile t begins
/// with element begin(t) of these: out[t * apart + p * Stride + i] = element begin(t) + i of line k.first + p.
/// `buffer`: lines_across * across.size() elements.
template <Index Stride, class Arch, class T, class Source, class Begin>
void pack_across_k(const Source& source, Range across, Range k, Index tiles, const Begin& begin, T* out, Index apart,
                   T* buffer) noexcept {
  if (tiles == 1) {  // nothing to write side by side: fewer instructions a line, so that more loads are under way
    const Index offset = begin(0), left = across.size() - offset;
    for (Index p = 0; p < k.size(); ++p, out += Stride) {
      const T* line = source.line(k.first + p, across.first, across.size(), buffer) + offset;
      __builtin_prefetch(line + 2 * Stride - 1, 0, 2);  // of the next tile
      if (left >= Stride) {
        simd::copy<Stride, Arch>(line, out);
      } else {
        simd::copy_part<Stride, Arch>(line, out, left);
      }
    }
    return;
  }
  for (Index first = 0; first < k.size(); first += lines_across) {
    const Index lines = std::min(lines_across, k.size() - first);
    const T* line[lines_across];
    for (Index p = 0; p < lines; ++p) {
      line[p] = source.line(k.first + first + p, across.first, across.size(), buffer + p * across.size());
    }
    for (Index t = 0; t < tiles; ++t) {
      T* target = out + t * apart + first * Stride;
      const Index offset = begin(t), left = across.size() - offset;  // past the tile's end: copied where it exists, never used
      if (left >= Stride) {
        for (Index p = 0; p < lines; ++p) simd::copy<Stride, Arch>(line[p] + offset, target + p * Stride);
      } else {
        for (Index p = 0; p < lines; ++p) simd::copy_part<Stride, Arch>(line[p] + offset, target + p * Stride, left);
      }
    }
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
