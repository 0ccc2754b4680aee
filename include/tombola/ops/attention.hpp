/// \file
/// Scaled dot-product attention of several heads.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "tombola/autograd/pass.hpp"
#include "tombola/core/parallel.hpp"
#include "tombola/kernels/attention_backward.hpp"
#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA {

struct AttentionOptions {
  Index heads = 1;
  std::optional<double> scale = std::nullopt;  ///< of the logits, > 0; default: 1 / sqrt(size of a head)
  bool causal = false;                         ///< query i sees the keys up to i + keys - queries
};

namespace detail {

/// Where queries, keys or values lie: columns of a node's rows, `length` rows a sequence, of which queries may be the first ones alone.
template <class T>
struct AttentionOperand {
  Node<T>* node;
  Index first, stride, length;
};

template <class T>
struct AttentionOperands {
  AttentionOperand<T> q, k, v;
  Index sequences, queries, columns;
  Index keys() const noexcept { return k.length; }
};

/// What the backward step keeps.
template <class T>
struct AttentionStep {
  AttentionOperands<T> of;
  kernels::AttentionShape<T> shape;
  Node<T>*bias, *logsums, *out;
  Index bias_sequences;
  View<const T> mask;
  bool packed;  ///< queries, keys and values are different columns of one node

  kernels::AttentionTerms<T> terms() const noexcept {
    kernels::AttentionTerms<T> terms;
    if (bias != nullptr) terms.bias = bias->value.data();
    terms.bias_sequences = bias_sequences;
    if (mask.size() > 0) {
      terms.mask = mask.data();
      terms.mask_sequences = mask.shape()[0];
    }
    return terms;
  }
  kernels::Heads<const T> values(const AttentionOperand<T>& x) const noexcept {
    return {x.node->value.data() + x.first, x.length, x.stride, shape.size};
  }

  void backward(Pass<T>& pass) const {
    kernels::AttentionGradient<T> gradient{
        values(of.q), values(of.k), values(of.v), {out->value.data(), of.queries, of.columns, shape.size},
        {out->gradient.data(), of.queries, of.columns, shape.size}, logsums->value.data(), {}, {}, {}};
    // A gradient that nobody wants, or that goes where another one does, has a buffer of its own. The last is the bias's.
    Tensor<T> own[4];
    const AttentionOperand<T>* const operands[3]{&of.q, &of.k, &of.v};
    kernels::Heads<T>* const into[3]{&gradient.dq, &gradient.dk, &gradient.dv};
    bool* const adds[3]{&gradient.add_q, &gradient.add_k, &gradient.add_v};
    std::optional<Accumulator<T>> joint;
    if (packed) joint = of.q.node->needs_gradient ? pass.accumulate(*of.q.node) : Accumulator<T>{own[0] = pass.buffer(of.q.node->shape()), T(0)};
    for (int i = 0; i < 3; ++i) {
      Node<T>& node = *operands[i]->node;
      const Index stride = operands[i]->stride, length = operands[i]->length;
      bool shared = false;
      for (int j = 0; j < i; ++j) shared = shared || operands[j]->node == &node;
      if (!packed && (shared || !node.needs_gradient)) {
        own[i] = pass.buffer(node.shape());
        *into[i] = {own[i].data(), length, stride, shape.size};
        continue;
      }
      const Accumulator<T> to = packed ? *joint : pass.accumulate(node);
      *into[i] = {to.into.data() + operands[i]->first, length, stride, shape.size};
      *adds[i] = to.beta != T(0);
      if (i == 0 && !*adds[i] && of.queries < length) {  // what asks nothing has no gradient
        parallel_for(pass.threads(), of.sequences, [&](Index n) {
          for (Index t = of.queries; t < length; ++t) std::fill_n(gradient.dq.data + (n * length + t) * stride, of.columns, T(0));
        });
      }
    }
    if (bias != nullptr && bias->needs_gradient) {
      if (bias == of.q.node || bias == of.k.node || bias == of.v.node) {
        own[3] = pass.buffer(bias->shape());
        gradient.dbias = own[3].data();
      } else {
        const Accumulator<T> to = pass.accumulate(*bias);
        gradient.dbias = to.into.data();
        gradient.add_bias = to.beta != T(0);
      }
    }
    const auto terms = this->terms();
    const Index count = kernels::attention_backward_scratch(shape, terms, gradient.dbias != nullptr, pass.threads().count());
    kernels::attention_backward(pass.threads(), shape, terms, gradient,
                                pass.context().workspace().template take<T>(static_cast<std::size_t>(count)));
    for (int i = 0; i < 4; ++i) {
      Node<T>* node = i < 3 ? operands[i]->node : bias;
      if (own[i].size() == 0 || !node->needs_gradient) continue;
      const Accumulator<T> to = pass.accumulate(*node);
      kernels::map_accumulate(
          pass.threads(), own[i].size(), [](const auto& g) { return g; }, to.beta, to.into.data(), own[i].data());
    }
  }
};

template <class T>
Var<T> attention(Pass<T>& pass, const AttentionOperands<T>& of, bool packed, const AttentionOptions& options, const Var<T>& bias,
                 View<const T> mask) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "attention: float or double");
  const Index heads = options.heads;
  require(heads >= 1 && of.columns >= heads && of.columns % heads == 0, "attention: expected columns that ", heads, " heads divide, got ",
          of.columns);
  require(of.keys() >= 1, "attention: expected at least one key");
  const Index size = of.columns / heads;
  const double wanted = options.scale.value_or(1 / std::sqrt(static_cast<double>(size)));
  require(wanted > 0 && wanted <= static_cast<double>(std::numeric_limits<T>::max()) && static_cast<T>(wanted) > T(0),
          "attention: expected a finite scale above 0 in the type of the values, got ", wanted);
  const T scale = static_cast<T>(wanted);
  Index bias_sequences = 1;
  if (bias) {
    require(&bias.pass() == &pass, "attention: expected values of one pass, got values of two");
    const Shape& shape = bias.shape();
    const bool many = shape.rank() == 4;
    bias_sequences = many ? shape[0] : 1;
    require(shape == (many ? Shape{bias_sequences, heads, of.queries, of.keys()} : Shape{heads, of.queries, of.keys()}) && bias_sequences >= 1 &&
                of.sequences % bias_sequences == 0,
            "attention: expected a bias [", heads, ", ", of.queries, ", ", of.keys(), "], or several that divide ", of.sequences,
            " sequences, got ", shape);
  }
  if (mask.data() != nullptr) {
    require(mask.shape().rank() == 3 && mask.shape()[0] >= 1 && of.sequences % mask.shape()[0] == 0 && mask.shape()[1] == of.queries &&
                mask.shape()[2] == of.keys(),
            "attention: expected a mask [sequences, ", of.queries, ", ", of.keys(), "] whose sequences divide ", of.sequences, ", got ",
            mask.shape());
  }
  const bool learns = of.q.node->needs_gradient || of.k.node->needs_gradient || of.v.node->needs_gradient || (bias && bias.needs_gradient());
  Var<T> out = pass.result({of.sequences, of.queries, of.columns}, learns);
  if (out.shape().size() == 0) return out;  // nobody looks: all gradients are zero
  const Var<T> logsums = pass.result({of.sequences, heads, of.queries}, false);
  const AttentionStep<T> step{of,
                              {of.sequences, heads, of.queries, of.keys(), size, scale, options.causal},
                              bias.node(),
                              logsums.node(),
                              out.node(),
                              bias_sequences,
                              mask,
                              packed};
  const Index count = kernels::attention_scratch(step.shape, pass.threads().count());
  kernels::attention(pass.threads(), step.shape, step.terms(), step.values(of.q), step.values(of.k),
                     step.values(of.v), kernels::Heads<T>{out.node()->output(), of.queries, of.columns, size},
                     logsums.node()->output(), pass.context().workspace().template take<T>(static_cast<std::size_t>(count)));
  pass.backward_step(out, [step](Pass<T>& pass) { step.backward(pass); });
  return out;
}

/// qkv [sequences, length, 3 columns], of which the first tokens of each sequence ask.
template <class T>
AttentionOperands<T> side_by_side(const Var<T>& qkv, Index queries) {
  const Index sequences = qkv.shape()[0], length = qkv.shape()[1], stride = qkv.shape()[2], columns = stride / 3;
  const auto part = [&](Index i) { return AttentionOperand<T>{qkv.node(), i * columns, stride, length}; };
  return {part(0), part(1), part(2), sequences, queries, columns};
}

}  // namespace detail

/// For each head h, the columns [h size, (h + 1) size) of each: out = softmax(scale q k^T + bias + mask) v.
/// q [sequences, queries, heads size], k, v [sequences, keys, heads size] -> out of the shape of q. bias [heads, queries, keys], or
/// [several, heads, queries, keys], of which sequence n has number n % several; mask [several, queries, keys] the same way, without a
/// gradient, borrowed as long as the pass: -infinity where a query sees no key. A query that sees none has the output 0.
/// Memory is linear in the length: probabilities are computed block by block, and again in backward. With p the probabilities and
/// ds = p (dout v^T - sum_c dout out):  dv += p^T dout,  dq += scale ds k,  dk += scale ds^T q,  dbias += the sum of ds over its sequences.
/// Throws `std::invalid_argument` if shapes do not fit, or for values of two passes.
/// Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; Dao et al., "FlashAttention", NeurIPS 2022.
template <class T>
Var<T> attention(const Var<T>& q, const Var<T>& k, const Var<T>& v, const AttentionOptions& options = {}, const Var<T>& bias = {},
                 View<const T> mask = {}) {
  require_one_pass("attention", q, k);
  require_one_pass("attention", q, v);
  const Shape &qs = q.shape(), &ks = k.shape();
  require(qs.rank() == 3 && ks.rank() == 3 && ks == v.shape() && qs[0] == ks[0] && qs[2] == ks[2],
          "attention: expected q [sequences, queries, columns] and k, v [sequences, keys, columns], got ", qs, ", ", ks, " and ", v.shape());
  const Index columns = qs[2];
  return detail::attention(q.pass(), {{q.node(), 0, columns, qs[1]}, {k.node(), 0, columns, ks[1]}, {v.node(), 0, columns, ks[1]}, qs[0], qs[1], columns},
                           false, options, bias, mask);
}

/// The same where queries, keys and values lie side by side: qkv [sequences, length, 3 heads size] -> out [sequences, length, heads size].
template <class T>
Var<T> self_attention(const Var<T>& qkv, const AttentionOptions& options = {}, const Var<T>& bias = {}, View<const T> mask = {}) {
  const Shape& shape = qkv.shape();
  require(shape.rank() == 3 && shape[2] % 3 == 0, "self_attention: expected qkv [sequences, length, 3 columns], got ", shape);
  return detail::attention(qkv.pass(), detail::side_by_side(qkv, shape[1]), true, options, bias, mask);
}

/// The first token's row of `self_attention` alone: qkv [sequences, length, 3 heads size] -> out [sequences, 1, heads size]. The queries of
/// the others are not read. Throws `std::invalid_argument` for other shapes, sequences without tokens, and causal attention.
template <class T>
Var<T> first_token_attention(const Var<T>& qkv, const AttentionOptions& options = {}) {
  const Shape& shape = qkv.shape();
  require(shape.rank() == 3 && shape[1] >= 1 && shape[2] % 3 == 0, "first_token_attention: expected qkv [sequences, length, 3 columns] with tokens, got ", shape);
  require(!options.causal, "first_token_attention: expected attention to all tokens: a first one sees itself alone where it is causal");
  return detail::attention(qkv.pass(), detail::side_by_side(qkv, 1), true, options, Var<T>(), View<const T>());
}

}  // namespace tombola::inline TOMBOLA_ISA
