/// \file
/// Scaled dot-product attention, forwards: block by block, so that no matrix of queries x keys exists as a whole.
/// Source: Dao et al., "FlashAttention", NeurIPS 2022; Milakov, Gimelshein, arXiv 1805.02867 (the running softmax).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/attention_shape.hpp"
#include "tombola/kernels/elementwise.hpp"
#include "tombola/kernels/small_product.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

/// What is added to the logits of one head: bias and mask [queries, keys], or nothing.
template <class T, class Arch>
class AddedTerms {
 public:
  AddedTerms(const AttentionShape<T>& shape, const AttentionTerms<T>& terms, Index n, Index h) noexcept : keys_(shape.keys) {
    const Index matrix = shape.queries * shape.keys;
    if (terms.bias != nullptr) bias_ = terms.bias + (n % terms.bias_sequences * shape.heads + h) * matrix;
    if (terms.mask != nullptr) mask_ = terms.mask + n % terms.mask_sequences * matrix;
  }
  bool any() const noexcept { return bias_ != nullptr || mask_ != nullptr; }
  /// x + bias + mask for `count` keys from key j of query i on.
  simd::Batch<T, Arch> add(const simd::Batch<T, Arch>& x, Index i, Index j, Index count) const noexcept {
    simd::Batch<T, Arch> sum = x;
    if (bias_ != nullptr) sum = sum + simd::load_up_to<T, Arch>(bias_ + i * keys_ + j, count);
    if (mask_ != nullptr) sum = sum + simd::load_up_to<T, Arch>(mask_ + i * keys_ + j, count);
    return sum;
  }

 private:
  Index keys_;
  const T *bias_ = nullptr, *mask_ = nullptr;
};

/// x, or `other` in all but the first `count` elements.
template <class T, class Arch>
simd::Batch<T, Arch> first_or(const simd::Batch<T, Arch>& x, Index count, T other) noexcept {
  return simd::select(simd::from_bits<T, Arch>((std::uint64_t{1} << count) - 1), x, simd::Batch<T, Arch>(other));
}

/// How queries and keys are cut into blocks of at most `Queries` and `Keys`: by their numbers alone; keys where registers end.
template <Index Queries, Index Keys>
struct AttentionBlocks {
  static_assert(Keys % 16 == 0);
  Index query_blocks, key_blocks;
  EvenParts queries;
  EvenUnits<16> keys;

  template <class T>
  explicit AttentionBlocks(const AttentionShape<T>& shape) noexcept
      : query_blocks(divide_up(shape.queries, Queries)),
        key_blocks(divide_up(shape.keys, Keys)),
        queries(shape.queries, query_blocks),
        keys(shape.keys, key_blocks) {}
};

template <class T, class Arch>
class AttentionForward {
 public:
  static constexpr Index most_queries = 72, most_keys = 256;  // their logits stay in the second-level cache
  using Blocks = AttentionBlocks<most_queries, most_keys>;

  static Index scratch(const AttentionShape<T>& shape) noexcept {
    return Panels<T, Arch>::scratch(shape.size, keys(shape)) + Panels<T, Arch>::scratch(keys(shape), shape.size) +
           most_queries * keys(shape) + round_up(shape.queries, 16);
  }

  AttentionForward(const AttentionShape<T>& shape, const AddedTerms<T, Arch>& terms, const Matrix<const T>& q, const Matrix<const T>& k,
                   const Matrix<const T>& v, const Matrix<T>& o, T* logsums, const RowsAhead<T, 4>& ahead, T* scratch) noexcept
      : shape_(shape),
        terms_(terms),
        q_(q),
        k_(k),
        v_(v),
        o_(o),
        ahead_(ahead),
        tops_(logsums),
        k_panels_(scratch),
        v_panels_(k_panels_ + Panels<T, Arch>::scratch(shape.size, keys(shape))),
        logits_(v_panels_ + Panels<T, Arch>::scratch(keys(shape), shape.size)),
        sums_(logits_ + most_queries * keys(shape)) {}

  /// The outputs of some blocks of queries.
  void run(Range blocks) noexcept {
    const Blocks cut(shape_);
    for (Index key_block = 0; key_block < cut.key_blocks; ++key_block) {
      const Range keys = cut.keys[key_block];
      const Panels<T, Arch> k(k_.rows_in(keys).transposed(), k_panels_), v(v_.rows_in(keys), v_panels_);
      for (Index block = blocks.first; block < blocks.last; ++block) {
        const Range queries = cut.queries[block];
        const bool first = key_block == 0;
        if (!first && shape_.visible(queries.last - 1) <= keys.first) continue;
        const Matrix<T> logits{logits_, queries.size(), keys.size(), round_up(keys.size(), 16), 1};
        k.multiply(queries.size(), {q_.at(queries.first, 0), q_.row_stride, true}, logits, false);
        raise_tops(queries, keys, logits, first);
        take_exponentials(queries, keys, logits, first);
        v.multiply(queries.size(), {logits.data, logits.row_stride, true},
                   {o_.at(queries.first, 0), queries.size(), o_.columns, o_.row_stride, 1}, !first);
      }
    }
    if (blocks.size() > 0) finish({cut.queries[blocks.first].first, cut.queries[blocks.last - 1].last});
  }

 private:
  static constexpr Index lanes = simd::width<T, Arch>;
  using V = simd::Batch<T, Arch>;
  static Index keys(const AttentionShape<T>& shape) noexcept { return round_up(std::min(shape.keys, most_keys), 16); }

  /// The products of some queries and keys become logits, and the tops the largest so far; what was summed up is scaled to the new ones.
  /// All rows before any exponentials: these would wait for the end of each row's reduction.
  void raise_tops(Range queries, Range keys, const Matrix<T>& logits, bool first) const noexcept {
    constexpr T none = -std::numeric_limits<T>::infinity(), lowest = std::numeric_limits<T>::lowest();
    const bool adds = terms_.any();
    const V scale(shape_.scale);
    for (Index i = queries.first; i < queries.last; ++i) {
      T* x = logits.at(i - queries.first, 0);
      const Index visible = shape_.visible(i, keys);
      V tops(none);
      for (Index j = 0; j < visible; j += lanes) {
        const Index count = std::min(lanes, visible - j);
        V logit = simd::load<T, Arch>(x + j) * scale;  // rounded and kept, so that the largest less the top is 0 and not its rounding
        if (adds) logit = terms_.add(logit, i, keys.first + j, count);
        if (count < lanes) logit = first_or<T, Arch>(logit, count, none);
        simd::store(x + j, logit);
        tops = simd::max(tops, logit);
      }
      for (Index j = round_up(visible, lanes); j < keys.size(); j += lanes) simd::store(x + j, V(T(0)));  // what their exponentials would be
      const T old = first ? none : tops_[i], top = std::max({simd::highest(tops), old, lowest});
      tops_[i] = top;
      if (first || top == old) continue;
      const T less = std::exp(old - top);
      sums_[i] *= less;
      multiply(o_.at(i, 0), less);
    }
  }

  /// Logits of what is seen become their exponentials, relative to the tops, and are added to the queries' sums.
  /// A function of its own, without calls: so the exponential's constants stay in registers from row to row.
  [[gnu::noinline]] void take_exponentials(Range queries, Range keys, const Matrix<T>& logits, bool first) const noexcept {
    for (Index i = queries.first; i < queries.last; ++i) {
      ahead_.ask(i);
      T* x = logits.at(i - queries.first, 0);
      const Index visible = shape_.visible(i, keys);
      const V top(tops_[i]);
      V sum(T(0));
      for (Index j = 0; j < visible; j += lanes) {
        const V p = simd::exp_nonpositive(simd::load<T, Arch>(x + j) - top);
        simd::store(x + j, p);
        sum = sum + p;
      }
      sums_[i] = simd::sum(sum) + (first ? T(0) : sums_[i]);
    }
  }

  void finish(Range queries) noexcept {
    for (Index i = queries.first; i < queries.last; i += lanes) {
      const Index count = std::min(lanes, queries.last - i);
      const V sums = simd::load_up_to<T, Arch>(sums_ + i, count);
      const auto blind = sums == V(T(0));
      const V logs = simd::select(blind, V(std::numeric_limits<T>::infinity()), simd::load_up_to<T, Arch>(tops_ + i, count) + simd::log(sums));
      T factor[static_cast<std::size_t>(lanes)];
      simd::store(factor, simd::divide(V(T(1)), sums));
      simd::store_part(tops_ + i, logs, count);
      for (Index j = 0; j < count; ++j) {
        T* row = o_.at(i + j, 0);
        if (sums_[i + j] == T(0)) {
          std::fill_n(row, shape_.size, T(0));  // it sees no key, and 0 times a value may be NaN
        } else {
          multiply(row, factor[j]);
        }
      }
    }
  }
  void multiply(T* row, T factor) const noexcept {
    map_range<T, Arch>({0, shape_.size}, [factor](const V& x) { return x * V(factor); }, row, row);
  }

  const AttentionShape<T>& shape_;
  const AddedTerms<T, Arch> terms_;
  const Matrix<const T> q_, k_, v_;
  const Matrix<T> o_;
  const RowsAhead<T, 4> ahead_;
  T* tops_;  // in the place of the logarithms that they will be part of
  T *k_panels_, *v_panels_, *logits_, *sums_;
};

}  // namespace detail

/// o = softmax(scale q k^T + bias + mask) v for each head of each sequence, and logsums[sequence, head, query] for backward: the
/// logarithm of the sum of exp of each row's logits, +infinity for a query that sees no key; its output is 0.
/// The same bits for any number of threads. `scratch`: `attention_scratch` elements.
template <class Arch = simd::Native, class T>
void attention(const Threads& threads, const AttentionShape<T>& shape, const AttentionTerms<T>& terms, const Heads<const T>& q,
               const Heads<const T>& k, const Heads<const T>& v, const Heads<T>& o, T* logsums, T* scratch) noexcept {
  using Forward = detail::AttentionForward<T, Arch>;
  const Index blocks = typename Forward::Blocks(shape).query_blocks, pairs = shape.sequences * shape.heads;
  const Index parts = std::min(blocks, divide_up(16, pairs));  // a few heads are shared by all threads
  const bool looks_ahead = parts == 1 && shape.keys <= Forward::most_keys;  // more would not stay in the cache
  parallel_for(threads, pairs * parts, [&](Index chunk, int worker) {
    const Index pair = chunk / parts, n = pair / shape.heads, h = pair % shape.heads;
    const RowsAhead<T, 4> ahead = looks_ahead ? rows_ahead(shape, pair + 1, q, k, v, o) : RowsAhead<T, 4>{};
    Forward head(shape, {shape, terms, n, h}, q.head(n, h), k.head(n, h), v.head(n, h), o.head(n, h), logsums + pair * shape.queries, ahead,
                 scratch + worker * Forward::scratch(shape));
    head.run(EvenParts(blocks, parts)[chunk % parts]);
  });
}

/// Elements of scratch memory for `attention`: linear in the number of queries.
template <class Arch = simd::Native, class T>
Index attention_scratch(const AttentionShape<T>& shape, int threads) noexcept {
  return threads * detail::AttentionForward<T, Arch>::scratch(shape);
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
