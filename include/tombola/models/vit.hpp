/// \file
/// Vision transformers: tiny, small, base and any other size.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "tombola/nn/connections.hpp"
#include "tombola/nn/layer_norm.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/patch_embedding.hpp"
#include "tombola/nn/position_embedding.hpp"
#include "tombola/nn/transformer_block.hpp"
#include "tombola/ops/pool.hpp"
#include "tombola/ops/reshape.hpp"
#include "tombola/ops/tokens.hpp"

namespace tombola::inline TOMBOLA_ISA::models {

/// What the classifier reads.
enum class Pooling : std::uint8_t {
  mean,        ///< the mean over all tokens
  class_token  ///< a token of its own
};

struct VitOptions {
  Index columns = 192, depth = 12, heads = 3;
  Index mlp = 0;  ///< hidden neurons of a block; 0: 4 columns
  Index size = 32, patch = 4, channels = 3, outputs = 10;
  nn::Position position = nn::Position::sine;
  Pooling pooling = Pooling::mean;
  std::vector<Index> stem = {};  ///< channels of convolutions that make the tokens, as PatchEmbedding has them; empty: patches
  double attention_scale = 1;  ///< of attention's logits, beside 1 / sqrt(size of a head)
  double branch_gain = 1;      ///< of the last weights of each block's branches
  double head_gain = 1;        ///< of the last layer's weights: 0.1 makes logits a tenth as large, as a softmax of temperature 10 does
  bool unit_gates = false;  ///< structured: a gate on each head and each hidden neuron of the blocks
};
inline VitOptions vit_tiny() { return {.columns = 192, .depth = 12, .heads = 3}; }
inline VitOptions vit_small() { return {.columns = 384, .depth = 12, .heads = 6}; }
inline VitOptions vit_base() { return {.columns = 768, .depth = 12, .heads = 12}; }

/// Patches -> tokens, plus where they stand -> blocks -> norm -> head. Weights are called as torchvision calls them; there are no biases, and
/// normalisation has no weights, and an epsilon of 1e-5 where torchvision has 1e-6. Class token and random positions are frozen, and without gates.
/// Source: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021.
template <template <class> class Source, class T = float>
struct Vit {
  VitOptions options;
  nn::PatchEmbedding<Source, T> conv_proj;
  std::vector<nn::Frozen<T>> embeddings;  ///< class token, positions: those that are drawn
  Tensor<T> waves;                        ///< positions that are not
  std::vector<nn::TransformerBlock<Source, T>> layers;
  nn::LayerNorm<T> ln;
  nn::Linear<Source, T> head;

  /// Throws `std::invalid_argument` unless patches divide the images, heads the columns, a stem halves images to the patches, and sine positions have
  /// columns that 4 divides.
  Vit(nn::Init init, const VitOptions& how) : Vit(init, checked(how), nullptr) {}

  /// x [batch, size, size, channels] -> logits [batch, outputs]. Throws `std::invalid_argument` for another x.
  Var<T> operator()(const Var<T>& x) {
    require(x.shape() == Shape{x.shape()[0], options.size, options.size, options.channels}, "vit: expected x [batch, ", options.size, ", ", options.size,
            ", ", options.channels, "], got ", x.shape());
    Pass<T>& pass = x.pass();
    const Index batch = x.shape()[0], columns = options.columns;
    const bool class_token = options.pooling == Pooling::class_token;
    Var<T> h = reshape(conv_proj(x), {batch, patches(), columns});
    std::size_t drawn = 0;
    if (class_token) h = prepend_token(h, embeddings[drawn++](pass).weight);
    const Var<T> positions = options.position == nn::Position::sine ? pass.input(waves.view()) : embeddings[drawn](pass).weight;
    h = nn::add_positions(h, positions);
    // Of the last block, the classifier reads the class token alone.
    for (std::size_t l = 0; l < layers.size(); ++l) h = class_token && l + 1 == layers.size() ? layers[l].first_token(h) : layers[l](h);
    h = ln(h);
    if (class_token) return head(first_token(h));
    return head(global_average_pool(reshape(h, {batch, patches(), 1, columns})));
  }
  auto members() { return std::tie(conv_proj, embeddings, layers, head); }
  std::vector<nn::Connection> connections() const {
    nn::ConnectionChain chain;
    conv_proj.connect(chain);
    for (const auto& layer : layers) layer.connect(chain);
    chain.add(head.name + ".weight");
    return chain.made;
  }

 private:
  Vit(nn::Init& init, const VitOptions& how, std::nullptr_t)
      : options(how),
        conv_proj(init, "conv_proj", how.channels, how.columns, how.patch, how.stem),
        embeddings(make_embeddings(init, how)),
        waves(positions()),
        layers(make_layers(init, how)),
        ln("encoder.ln", how.columns),
        head(init, "heads.head", how.columns, how.outputs, how.head_gain) {
    if (!how.unit_gates) return;  // after all weights: structured and unstructured searches of one seed have the same ones
    for (auto& layer : layers) layer.add_units(init);
  }

  static std::vector<nn::Frozen<T>> make_embeddings(nn::Init& init, const VitOptions& how) {
    // As of two inputs: with this fan-in what is drawn is as large as waves, or tokens.
    std::vector<nn::Frozen<T>> made;
    const bool class_token = how.pooling == Pooling::class_token;
    if (class_token) made.emplace_back(init, "class_token", Shape{1, 1, how.columns}, nn::Fans{2, 2});
    if (how.position == nn::Position::random) {
      const Index side = how.size / how.patch;
      made.emplace_back(init, "encoder.pos_embedding", Shape{1, side * side + class_token, how.columns}, nn::Fans{2, 2});
    }
    return made;
  }
  static std::vector<nn::TransformerBlock<Source, T>> make_layers(nn::Init& init, const VitOptions& how) {
    std::vector<nn::TransformerBlock<Source, T>> made;
    for (Index l = 0; l < how.depth; ++l) {
      made.emplace_back(init, concat("encoder.layers.encoder_layer_", l), how.columns, how.mlp,
                        nn::scaled_attention(how.columns, how.heads, how.attention_scale), how.branch_gain);
    }
    return made;
  }
  Index patches() const noexcept { return options.size / options.patch * (options.size / options.patch); }
  Tensor<T> positions() const {
    if (options.position != nn::Position::sine) return {};
    const Index side = options.size / options.patch, first = options.pooling == Pooling::class_token;
    const Tensor<T> plane = nn::sine_positions_2d<T>(side, side, options.columns);
    Tensor<T> all({first + side * side, options.columns});  // the class token stands nowhere
    std::copy_n(plane.data(), plane.size(), all.data() + first * options.columns);
    return all;
  }
  static VitOptions checked(VitOptions options) {
    require(options.patch >= 1 && options.size >= options.patch && options.size % options.patch == 0,
            "vit: expected images whose size the patches divide, got ", options.size, " and ", options.patch);
    require(options.depth >= 0 && options.mlp >= 0, "vit: expected a depth and hidden neurons of at least 0, got ", options.depth, " and ", options.mlp);
    if (options.mlp == 0) options.mlp = 4 * options.columns;
    return options;
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::models
