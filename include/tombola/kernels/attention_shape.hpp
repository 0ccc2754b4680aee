/// \file
/// What attention is computed on: sizes, where the heads lie, and what is added to the logits.
#pragma once

#include <algorithm>

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

}  // namespace tombola::inline TOMBOLA_ISA::kernels
