/// \file
/// Packing: the elements of an operand, in the order in which the micro-kernel of the product reads them.
#pragma once

#include "tombola/kernels/matrix.hpp"
#include "tombola/kernels/transpose.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// What is packed: `count` rows of A (columns of B) from `first`, for k in [k_first, k_first + depth).
struct PackRange {
  Index first, count, k_first, depth;
};

/// Packs lines that run along k: out[k * Stride + i] = element k of line i, a block of registers transposed at a time.
/// At most Stride lines; `buffer` holds width * depth elements.
template <Index Stride, class Arch, class T, class Source>
void pack_along_k(const Source& source, const PackRange& range, T* out, T* buffer) noexcept {
  constexpr Index width = simd::width<T, Arch>;
  for (Index group = 0; group < range.count; group += width) {
    const Index lines = std::min(width, range.count - group);
    const T* line[width];
    for (Index i = 0; i < width; ++i) {  // lines past the last repeat it: their places are never used
      line[i] = i < lines ? source.line(range.first + group + i, range.k_first, range.depth, buffer + i * range.depth)
                          : line[lines - 1];
    }
    simd::Batch<T, Arch> block[static_cast<std::size_t>(width)];
    Index k = 0;
    for (; k + width <= range.depth; k += width) {
      for (Index i = 0; i < width; ++i) block[i] = simd::load<T, Arch>(line[i] + k);
      simd::transpose<T, Arch>(block);
      for (Index i = 0; i < width; ++i) simd::store(out + (k + i) * Stride + group, block[i]);
    }
    if (k == range.depth) continue;
    for (Index i = 0; i < width; ++i) block[i] = simd::load_part<T, Arch>(line[i] + k, range.depth - k);
    simd::transpose<T, Arch>(block);
    for (Index i = 0; k + i < range.depth; ++i) simd::store(out + (k + i) * Stride + group, block[i]);
  }
}

/// Packs lines that run across k, cut into tiles: tile t gets the elements [begin(t), begin(t + 1)) of every line,
/// counted from range.first: out[t * panel + k * Stride + i]. `buffer` holds range.count elements.
template <Index Stride, class Arch, class T, class Source, class Begin>
void pack_across_k(const Source& source, const PackRange& range, Index tiles, const Begin& begin, T* out,
                   T* buffer) noexcept {
  constexpr Index width = simd::width<T, Arch>;
  for (Index k = 0; k < range.depth; ++k) {
    const T* line = source.line(range.k_first + k, range.first, range.count, buffer);
    for (Index t = 0; t < tiles; ++t) {
      T* target = out + (t * range.depth + k) * Stride;
      for (Index i = 0; i < Stride; i += width) {
        const Index left = range.count - begin(t) - i;  // what lies past the tile's end may be copied, and is not used
        if (left <= 0) break;
        simd::store(target + i, left >= width ? simd::load<T, Arch>(line + begin(t) + i)
                                              : simd::load_part<T, Arch>(line + begin(t) + i, left));
      }
    }
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
