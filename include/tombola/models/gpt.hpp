/// \file
/// Gpt: a causal transformer over tokens, of any size.
#pragma once

#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

#include "tombola/nn/layer_norm.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/position_embedding.hpp"
#include "tombola/nn/transformer_block.hpp"
#include "tombola/ops/matmul.hpp"
#include "tombola/ops/reshape.hpp"
#include "tombola/ops/scale.hpp"
#include "tombola/ops/tokens.hpp"

namespace tombola::inline TOMBOLA_ISA::models {

struct GptOptions {
  Index vocabulary = 256, length = 128;  ///< of the longest sequence
  Index columns = 128, depth = 4, heads = 4;
  Index mlp = 0;            ///< hidden neurons of a block; 0: 4 columns
  double attention_scale = 1;  ///< of attention's logits, beside 1 / sqrt(size of a head)
  double branch_gain = 1;      ///< of the last weights of each block's branches
  double head_gain = 1;        ///< of the last layer's weights: 0.1 makes logits a tenth as large, as a softmax of temperature 10 does
  bool unit_gates = false;  ///< structured: a gate on each head and each hidden neuron of the blocks
};

/// Tokens, plus where they stand -> blocks, in which a token sees those before it -> norm -> the logits of each next token. Weights are called
/// as nanoGPT calls them; there are no biases, positions are waves, normalisation has no weights, and the head has weights of its own. GELU is the
/// exact one, as nanoGPT's is and GPT-2's is not.
/// Source: Radford et al., "Language models are unsupervised multitask learners", 2019.
///
///     models::Gpt<nn::Gated> model({.seed = 1}, {.vocabulary = 65});
///     const auto loss = cross_entropy(model(tape, ids.view()), next_ids.view());
template <template <class> class Source, class T = float>
struct Gpt {
  GptOptions options;
  Source<T> wte;
  Tensor<T> waves;  ///< [length, columns]
  std::vector<nn::TransformerBlock<Source, T>> h;
  nn::LayerNorm<T> ln_f;
  nn::Linear<Source, T> lm_head;

  /// Throws `std::invalid_argument` unless heads divide the columns, columns are even, and there is something of everything but blocks; and for
  /// rescaling of gated weights per neuron: rows of the table are no neurons.
  Gpt(nn::Init init, const GptOptions& how) : Gpt(init, checked(how, init.rescale), nullptr) {}

  /// ids [sequences, length], whole numbers in [0, vocabulary) -> logits [sequences length, vocabulary]. Borrows the ids as long as the pass.
  /// Throws `std::invalid_argument` for other ids, or sequences longer than the model's.
  Var<T> operator()(Pass<T>& pass, View<const std::int32_t> ids) {
    require(ids.shape().rank() == 2, "gpt: expected ids [sequences, length], got ", ids.shape());
    const auto [table, s] = wte(pass);
    return logits(embedding(table, ids), s);
  }
  Var<T> operator()(Pass<T>& pass, const Tensor<std::int32_t>&& ids) = delete;  // they would be gone
  /// The same of tokens as rows of numbers, x [sequences, length, vocabulary]: one-hot, or a mixture of tokens.
  Var<T> operator()(const Var<T>& x) {
    require(x.shape().rank() == 3 && x.shape()[2] == options.vocabulary, "gpt: expected x [sequences, length, ", options.vocabulary, "], got ",
            x.shape());
    const Index sequences = x.shape()[0], length = x.shape()[1];
    const auto [table, s] = wte(x.pass());
    const Var<T> rows = matmul(reshape(x, {sequences * length, options.vocabulary}), table);
    return logits(reshape(rows, {sequences, length, options.columns}), s);
  }
  auto members() { return std::tie(wte, h, lm_head); }
  std::vector<nn::Connection> connections() const {
    nn::ConnectionChain chain;
    chain.add_table("transformer.wte.weight");
    for (const auto& block : h) block.connect(chain);
    chain.add(lm_head.name + ".weight");
    return chain.made;
  }

 private:
  Gpt(nn::Init& init, const GptOptions& how, std::nullptr_t)
      : options(how),
        wte(init, "transformer.wte.weight", {how.vocabulary, how.columns}, nn::Fans{2, 2}),  // as of two inputs: tokens are as large as waves
        waves(nn::sine_positions<T>(how.length, how.columns)),
        h(make_blocks(init, how)),
        ln_f("transformer.ln_f", how.columns),
        lm_head(init, "lm_head", how.columns, how.vocabulary, how.head_gain) {
    if (!how.unit_gates) return;  // after all weights: structured and unstructured searches of one seed have the same ones
    for (auto& block : h) block.add_units(init);
  }

  Var<T> logits(Var<T> x, const Var<T>& scale_of_table) {
    const Shape shape = x.shape();
    require(shape[1] <= options.length, "gpt: expected sequences of at most ", options.length, " tokens, got ", shape[1]);
    if (scale_of_table) x = scale(x, scale_of_table);
    x = nn::add_positions(x, x.pass().input(View<const T>(waves.data(), {shape[1], options.columns})));
    for (auto& block : h) x = block(x);
    return lm_head(reshape(ln_f(x), {shape[0] * shape[1], options.columns}));
  }

  static std::vector<nn::TransformerBlock<Source, T>> make_blocks(nn::Init& init, const GptOptions& how) {
    const nn::BlockNames names{".attn", {".c_attn.weight", ".c_proj"}, {".c_fc", ".c_proj"}};
    std::vector<nn::TransformerBlock<Source, T>> made;
    for (Index l = 0; l < how.depth; ++l) {
      made.emplace_back(init, concat("transformer.h.", l), how.columns, how.mlp,
                        nn::scaled_attention(how.columns, how.heads, how.attention_scale, true), how.branch_gain, names);
    }
    return made;
  }
  static GptOptions checked(GptOptions options, [[maybe_unused]] Rescale rescale) {
    if constexpr (requires(Source<T> source) { source.rescale; }) {
      require(rescale != Rescale::neuron, "gpt: expected rescaling per layer or none, got per neuron");
    }
    require(options.vocabulary >= 1 && options.length >= 1, "gpt: expected a vocabulary and a length of at least 1, got ", options.vocabulary, " and ",
            options.length);
    require(options.depth >= 0 && options.mlp >= 0, "gpt: expected a depth and hidden neurons of at least 0, got ", options.depth, " and ", options.mlp);
    if (options.mlp == 0) options.mlp = 4 * options.columns;
    return options;
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::models
