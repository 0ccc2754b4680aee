/// \file
/// TransformerBlock: attention and an Mlp, each behind a normalisation and beside a skip connection.
#pragma once

#include <string>
#include <tuple>

#include "tombola/nn/layer_norm.hpp"
#include "tombola/nn/mlp.hpp"
#include "tombola/nn/multi_head_attention.hpp"
#include "tombola/ops/reshape.hpp"
#include "tombola/ops/tokens.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// What the parts of a TransformerBlock are called, behind its own name.
struct BlockNames {
  const char* attention = ".self_attention";  ///< torchvision's ViT; GPT-2: ".attn"
  AttentionNames of_attention = {};
  MlpNames of_mlp = {};
};

/// h = x + attention(norm(x)), y = h + mlp(norm(h)). x [sequences, length, columns] -> y of the same shape.
/// Source: Xiong et al., "On layer normalization in the transformer architecture", ICML 2020 (pre-LN).
template <template <class> class Source, class T = float>
struct TransformerBlock {
  LayerNorm<T> ln_1;
  MultiHeadAttention<Source, T> self_attention;
  LayerNorm<T> ln_2;
  Mlp<Source, T> mlp;

  /// The last weights of both branches are drawn `branch_gain` times as large as by default.
  TransformerBlock(Init& init, const std::string& name, Index columns, Index hidden, const AttentionOptions& attention, double branch_gain = 1,
                   const BlockNames& names = {})
      : ln_1(name + ".ln_1", columns),
        self_attention(init, name + names.attention, columns, attention, names.of_attention, branch_gain),
        ln_2(name + ".ln_2", columns),
        mlp(init, name + ".mlp", columns, hidden, names.of_mlp, branch_gain) {}

  Var<T> operator()(const Var<T>& x) {
    const Var<T> h = x + self_attention(ln_1(x));
    return h + mlp(ln_2(h));
  }
  /// The first token's y alone, [sequences, 1, columns]. Of the others, their normalisation is computed, and queries, keys and values, one product.
  Var<T> first_token(const Var<T>& x) {
    const Var<T> first = tombola::first_token(x);
    const Var<T> h = reshape(first, {first.shape()[0], 1, first.shape()[1]}) + self_attention.first_token(ln_1(x));
    return h + mlp(ln_2(h));
  }
  auto members() { return std::tie(self_attention, mlp); }
  /// Adds structured gates on heads and hidden neurons.
  void add_units(Init& init) {
    self_attention.add_units(init);
    mlp.add_units(init);
  }
  void connect(ConnectionChain& chain) const {
    chain.add_residual(self_attention);
    chain.add_residual(mlp);
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
