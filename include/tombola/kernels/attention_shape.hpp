/// \file
/// What attention is computed on: sizes, where the heads lie, and what is added to the logits.
#pragma once

#include <algorithm>
#include <array>

#include "tombola/kernels/matrix.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// `heads` heads of `size` elements in each of `sequences` sequences.
template <class T>
struct AttentionShape {
  Index sequences, heads, queries, keys, size;
  T scale;              ///< > 0
  bool causal = false;  ///< query i sees keys up to i + keys - queries

  /// How many keys query i sees, the first ones.
  Index visible(Index i) const noexcept { return causal ? std::clamp<Index>(i + 1 + keys - queries, 0, keys) : keys; }
  /// The same of some keys.
  Index visible(Index i, Range some) const noexcept { return std::clamp<Index>(visible(i) - some.first, 0, some.size()); }
};

/// The heads of queries, keys, values or outputs: head h of token t of sequence n begins at data[(n length + t) stride + h size].
template <class T>
struct Heads {
  T* data;
  Index length, stride, size;

  Matrix<T> head(Index n, Index h) const noexcept { return {data + n * length * stride + h * size, length, size, stride, 1}; }
};

/// What is added to the logits of sequence n and head h: bias[n % bias_sequences, h] and mask[n % mask_sequences], each
/// [queries, keys], where there are such.
template <class T>
struct AttentionTerms {
  const T* bias = nullptr;
  Index bias_sequences = 1;
  const T* mask = nullptr;
  Index mask_sequences = 1;
};

/// Rows of the head that comes next: they lie so far apart in memory that the hardware does not see them coming. A softmax asks for one
/// of each matrix, row by row. Nothing by default.
template <class T, std::size_t Count>
struct RowsAhead {
  std::array<Matrix<const T>, Count> matrices{};

  /// Inlined: g++ takes a function that does nothing but ask for one without effect, and leaves out its calls.
  [[gnu::always_inline]] void ask(Index row) const noexcept {
    constexpr Index line = 64 / static_cast<Index>(sizeof(T));
    for (const Matrix<const T>& m : matrices) {
      for (Index c = 0; row < m.rows && c < m.columns; c += line) __builtin_prefetch(m.at(row, c), 0, 2);
    }
  }
};

/// The rows of one head of each, the heads numbered sequence after sequence; past the last one, nothing.
template <class T, class... Of>
RowsAhead<T, sizeof...(Of)> rows_ahead(const AttentionShape<T>& shape, Index number, const Of&... of) noexcept {
  const Index n = number / shape.heads, h = number % shape.heads;
  if (n >= shape.sequences) return {};
  return {{of.head(n, h)...}};
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
