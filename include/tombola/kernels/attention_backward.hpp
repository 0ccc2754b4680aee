/// \file
/// The gradients of attention. The probabilities are computed again, block by block.
/// Source: Dao et al., "FlashAttention", NeurIPS 2022.
#pragma once

#include "tombola/kernels/attention.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// What `attention_backward` reads, and what it writes, or adds to where the name says so.
template <class T>
struct AttentionGradient {
  Heads<const T> q, k, v, o, dout;
  const T* logsums;
  Heads<T> dq, dk, dv;
  bool add_q = false, add_k = false, add_v = false;
  T* dbias = nullptr;  ///< of the shape of the bias, if wanted
  bool add_bias = false;
};

namespace detail {

template <class T, class Arch>
class AttentionBackward {
 public:
  static constexpr Index most = 128;  // queries and keys of a block: two matrices of it stay in the second-level cache
  using Blocks = AttentionBlocks<most, most>;

  static Index scratch(const AttentionShape<T>& shape) noexcept {
    return 2 * transposed(shape) + 3 * plain(shape) + 2 * most * line(shape) + round_up(shape.queries, 16);
  }

  AttentionBackward(const AttentionShape<T>& shape, const AttentionTerms<T>& terms, const AttentionGradient<T>& of, Index n, Index h,
                    const RowsAhead<T, 5>& ahead, T* scratch) noexcept
      : shape_(shape),
        terms_(shape, terms, n, h),
        of_(of),
        q_(of.q.head(n, h)),
        k_(of.k.head(n, h)),
        v_(of.v.head(n, h)),
        o_(of.o.head(n, h)),
        dout_(of.dout.head(n, h)),
        dq_(of.dq.head(n, h)),
        dk_(of.dk.head(n, h)),
        dv_(of.dv.head(n, h)),
        ahead_(ahead),
        logsums_(of.logsums + (n * shape.heads + h) * shape.queries) {
    const auto take = [&scratch](Index count) { return std::exchange(scratch, scratch + count); };
    k_transposed_ = take(transposed(shape));
    v_transposed_ = take(transposed(shape));
    k_plain_ = take(plain(shape));
    q_plain_ = take(plain(shape));
    dout_plain_ = take(plain(shape));
    p_ = take(most * line(shape));
    dlogits_ = take(most * line(shape));
    means_ = scratch;
  }

  /// Writes the head's gradients. `dbias` [queries, keys]: written, or added to if `add_bias`; or null.
  void run(T* dbias, bool add_bias) noexcept {
    for (Index i = 0; i < shape_.queries; ++i) means_[i] = dot<T, Arch>(shape_.size, dout_.at(i, 0), o_.at(i, 0));
    const Blocks cut(shape_);
    for (Index key_block = 0; key_block < cut.key_blocks; ++key_block) {
      const Range keys = cut.keys[key_block];
      const Panels<T, Arch> k_transposed(k_.rows_in(keys).transposed(), k_transposed_), v_transposed(v_.rows_in(keys).transposed(), v_transposed_);
      const Panels<T, Arch> k(k_.rows_in(keys), k_plain_);
      bool add_k = of_.add_k, add_v = of_.add_v;
      for (Index block = 0; block < cut.query_blocks; ++block) {
        const Range queries = cut.queries[block];
        const bool last = block + 1 == cut.query_blocks;  // these see more than any others: what nobody sees gets its zeros here
        if (key_block > 0 && !last && dbias == nullptr && shape_.visible(queries.last - 1) <= keys.first) continue;
        const Panels<T, Arch> q(q_.rows_in(queries), q_plain_), dout(dout_.rows_in(queries), dout_plain_);
        const Index stride = round_up(keys.size(), 16);
        const Matrix<T> p{p_, queries.size(), keys.size(), stride, 1}, dlogits{dlogits_, queries.size(), keys.size(), stride, 1};
        k_transposed.multiply(queries.size(), {q_.at(queries.first, 0), q_.row_stride, true}, p, false);
        v_transposed.multiply(queries.size(), {dout_.at(queries.first, 0), dout_.row_stride, true}, dlogits, false);
        differentiate(queries, keys, p, dlogits, dbias, add_bias);
        dout.multiply(keys.size(), {p.data, stride}, {dv_.at(keys.first, 0), keys.size(), shape_.size, dv_.row_stride, 1}, add_v);
        q.multiply(keys.size(), {dlogits.data, stride}, {dk_.at(keys.first, 0), keys.size(), shape_.size, dk_.row_stride, 1}, add_k);
        k.multiply(queries.size(), {dlogits.data, stride, true}, {dq_.at(queries.first, 0), queries.size(), shape_.size, dq_.row_stride, 1},
                   of_.add_q || key_block > 0);
        add_k = add_v = true;
      }
    }
  }

 private:
  static constexpr Index lanes = simd::width<T, Arch>;
  using V = simd::Batch<T, Arch>;
  static Index line(const AttentionShape<T>& shape) noexcept { return round_up(std::min(shape.keys, most), 16); }
  static Index transposed(const AttentionShape<T>& shape) noexcept { return Panels<T, Arch>::scratch(shape.size, line(shape)); }
  static Index plain(const AttentionShape<T>& shape) noexcept {
    return Panels<T, Arch>::scratch(round_up(std::min(std::max(shape.queries, shape.keys), most), 16), shape.size);
  }

  /// The products of some queries and keys become probabilities, and the gradients of these those of the products.
  void differentiate(Range queries, Range keys, const Matrix<T>& products, const Matrix<T>& gradients, T* dbias, bool add_bias) const noexcept {
    const bool adds = terms_.any();
    const V scale(shape_.scale);
    for (Index i = queries.first; i < queries.last; ++i) {
      ahead_.ask(i);
      T *x = products.at(i - queries.first, 0), *dx = gradients.at(i - queries.first, 0);
      const Index visible = shape_.visible(i, keys);
      const V logsum(logsums_[i]), mean(means_[i]);
      for (Index j = 0; j < keys.size(); j += lanes) {
        const Index seen = std::clamp<Index>(visible - j, 0, lanes);
        V logit = simd::load<T, Arch>(x + j) * scale;
        if (adds) logit = terms_.add(logit, i, keys.first + j, seen);
        V p = simd::exp_nonpositive(simd::min(V(T(0)), logit - logsum));  // above 0 by rounding alone, if multiplied and subtracted at once
        V dlogit = p * (simd::load<T, Arch>(dx + j) - mean);
        if (seen < lanes) {
          p = first_or<T, Arch>(p, seen, T(0));
          dlogit = first_or<T, Arch>(dlogit, seen, T(0));
        }
        simd::store(x + j, p);
        simd::store(dx + j, dlogit * scale);
        if (dbias == nullptr) continue;
        const Index count = std::min(lanes, keys.size() - j);
        T* to = dbias + i * shape_.keys + keys.first + j;
        if (add_bias) dlogit = dlogit + simd::load_part<T, Arch>(to, count);
        simd::store_part(to, dlogit, count);
      }
    }
  }

  const AttentionShape<T>& shape_;
  const AddedTerms<T, Arch> terms_;
  const AttentionGradient<T>& of_;
  const Matrix<const T> q_, k_, v_, o_, dout_;
  const Matrix<T> dq_, dk_, dv_;
  const RowsAhead<T, 5> ahead_;
  const T* logsums_;
  T *k_transposed_, *v_transposed_, *k_plain_, *q_plain_, *dout_plain_, *p_, *dlogits_, *means_;
};

/// Which heads a chunk of work takes: where the gradient of the bias is wanted, those that share a piece of it follow one another in a
/// few chunks, each of which sums its own.
template <class T>
class BiasGradient {
 public:
  BiasGradient(const AttentionShape<T>& shape, Index bias_sequences, bool wanted) noexcept
      : heads_(shape.heads),
        matrix_(shape.queries * shape.keys),
        slots_((wanted ? bias_sequences : shape.sequences) * shape.heads),
        sharing_(wanted ? shape.sequences / bias_sequences : 1),
        parts_(std::min(sharing_, divide_up(16, slots_))),
        wanted_(wanted) {}

  Index chunks() const noexcept { return slots_ * parts_; }
  Index scratch() const noexcept { return wanted_ && parts_ > 1 ? chunks() * matrix_ : 0; }

  /// Calls body(sequence, head, where the gradient of the bias goes, whether it is added) for each head of a chunk.
  template <class Body>
  void for_each(Index chunk, T* dbias, bool add, T* sums, const Body& body) const noexcept {
    const Index slot = chunk / parts_, sequences = slots_ / heads_;
    const Range part = EvenParts(sharing_, parts_)[chunk % parts_];
    T* to = !wanted_ ? nullptr : parts_ > 1 ? sums + chunk * matrix_ : dbias + slot * matrix_;
    for (Index i = part.first; i < part.last; ++i) {
      body(i * sequences + slot / heads_, slot % heads_, to, i > part.first || (parts_ == 1 && add));
    }
  }
  /// dbias = the chunks' sums in order, added to what was there if `add`.
  void add_up(const Threads& threads, T* dbias, bool add, const T* sums) const noexcept {
    if (scratch() == 0) return;
    parallel_ranges(threads, slots_ * matrix_, elementwise_grain, [&](Range range) {
      for (Index i = range.first; i < range.last; ++i) {
        const T* of_slot = sums + i / matrix_ * parts_ * matrix_ + i % matrix_;
        T sum = add ? dbias[i] : T(0);
        for (Index part = 0; part < parts_; ++part) sum += of_slot[part * matrix_];
        dbias[i] = sum;
      }
    });
  }

 private:
  Index heads_, matrix_, slots_, sharing_, parts_;
  bool wanted_;
};

}  // namespace detail

/// With p = softmax(scale q k^T + bias + mask) and ds = p (dout v^T - the sum of dout o over the query's row):
/// dv = p^T dout,  dq = scale ds k,  dk = scale ds^T q,  dbias = the sum of ds over the sequences that share it.
/// The same bits for any number of threads. `scratch`: `attention_backward_scratch` elements.
template <class Arch = simd::Native, class T>
void attention_backward(const Threads& threads, const AttentionShape<T>& shape, const AttentionTerms<T>& terms,
                        const AttentionGradient<T>& of, T* scratch) noexcept {
  using Backward = detail::AttentionBackward<T, Arch>;
  const detail::BiasGradient<T> bias(shape, terms.bias_sequences, of.dbias != nullptr);
  T* own = scratch + round_up(bias.scratch(), 16);
  const bool looks_ahead = of.dbias == nullptr && std::max(shape.queries, shape.keys) <= 2 * Backward::most;  // then heads follow one another
  parallel_for(threads, bias.chunks(), [&](Index chunk, int worker) {
    bias.for_each(chunk, of.dbias, of.add_bias, scratch, [&](Index n, Index h, T* dbias, bool add) {
      const RowsAhead<T, 5> ahead =
          looks_ahead ? rows_ahead(shape, n * shape.heads + h + 1, of.q, of.k, of.v, of.o, of.dout) : RowsAhead<T, 5>{};
      Backward(shape, terms, of, n, h, ahead, own + worker * Backward::scratch(shape)).run(dbias, add);
    });
  });
  bias.add_up(threads, of.dbias, of.add_bias, scratch);
}

/// Elements of scratch memory for `attention_backward`: linear in the number of queries, but for the gradient of a bias.
template <class Arch = simd::Native, class T>
Index attention_backward_scratch(const AttentionShape<T>& shape, const AttentionTerms<T>& terms, bool bias_gradient, int threads) noexcept {
  return round_up(detail::BiasGradient<T>(shape, terms.bias_sequences, bias_gradient).scratch(), 16) +
         threads * detail::AttentionBackward<T, Arch>::scratch(shape);
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
