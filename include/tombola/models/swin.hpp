/// \file
/// Swin transformers: attention within windows that move from block to block.
#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "tombola/nn/connections.hpp"
#include "tombola/nn/layer_norm.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/mlp.hpp"
#include "tombola/nn/multi_head_attention.hpp"
#include "tombola/nn/patch_embedding.hpp"
#include "tombola/ops/pool.hpp"
#include "tombola/ops/relative_position_bias.hpp"
#include "tombola/ops/reshape.hpp"
#include "tombola/ops/windows.hpp"

namespace tombola::inline TOMBOLA_ISA::models {

struct SwinOptions {
  Index columns = 96;  ///< of the first stage; each stage doubles them, and halves the image
  std::vector<Index> depths = {2, 2, 6, 2}, heads = {3, 6, 12, 24};  ///< of each stage
  Index window = 4;  ///< smaller where an image is
  Index mlp_ratio = 4;
  Index size = 32, patch = 2, channels = 3, outputs = 10;
  std::vector<Index> stem = {};  ///< channels of convolutions that make the tokens, as PatchEmbedding has them; empty: patches
  double attention_scale = 1;  ///< of attention's logits, beside 1 / sqrt(size of a head)
  double branch_gain = 1;      ///< of the last weights of each block's branches
  double head_gain = 1;        ///< of the last layer's weights: 0.1 makes logits a tenth as large, as a softmax of temperature 10 does
  bool unit_gates = false;  ///< structured: a gate on each head and each hidden neuron
};
/// Swin-T, as torchvision builds it for images of 224 pixels.
inline SwinOptions swin_tiny() { return {.window = 7, .size = 224, .patch = 4, .outputs = 1000}; }
/// A smaller one, for images of 32 pixels.
inline SwinOptions swin_small_images() { return {.columns = 96, .depths = {2, 6, 2}, .heads = {3, 6, 12}}; }

/// h = x + attention within windows(norm(x)), y = h + mlp(norm(h)), on images.
template <template <class> class Source, class T = float>
struct SwinBlock {
  Index side, window, shift;
  Tensor<T> mask;  ///< empty unless windows are shifted
  nn::LayerNorm<T> norm1;
  nn::MultiHeadAttention<Source, T> attn;
  nn::Frozen<T> table;  ///< relative position bias, [(2 window - 1)^2, heads]: each head looks its own way
  nn::LayerNorm<T> norm2;
  nn::Mlp<Source, T> mlp;

  /// The block of images of tokens_side x tokens_side tokens; what the options say of stages is `columns` and `heads` here.
  SwinBlock(nn::Init& init, const std::string& name, const SwinOptions& options, Index tokens_side, Index columns, Index heads, bool shifts)
      : side(tokens_side),
        window(std::min(options.window, side)),
        shift(shifts && side > window ? window / 2 : 0),
        mask(shift > 0 ? shifted_window_mask<T>(side, side, window, shift) : Tensor<T>()),
        norm1(name + ".norm1", columns),
        attn(init, name, columns, nn::scaled_attention(columns, heads, options.attention_scale), {".attn.qkv.weight", ".attn.proj"}, options.branch_gain),
        table(init, name + ".attn.relative_position_bias_table", {(2 * window - 1) * (2 * window - 1), heads}, nn::Fans{2, 2}),
        norm2(name + ".norm2", columns),
        mlp(init, name + ".mlp", columns, options.mlp_ratio * columns, {}, options.branch_gain) {}

  /// x [batch, side, side, columns] -> y of the same shape. Throws `std::invalid_argument` for another x: windows would not be where its mask is.
  Var<T> operator()(const Var<T>& x) {
    require(x.shape().rank() == 4 && x.shape()[1] == side && x.shape()[2] == side, norm1.name, ": expected x [batch, ", side, ", ", side,
            ", columns], got ", x.shape());
    const Var<T> bias = relative_position_bias(table(x.pass()).weight, window);
    const Var<T> seen = attn(to_windows(norm1(x), window, shift), bias, shift > 0 ? mask.view() : View<const T>());
    const Var<T> h = x + from_windows(seen, x.shape(), window, shift);
    return h + mlp(norm2(h));
  }
  auto members() { return std::tie(attn, table, mlp); }
  void add_units(nn::Init& init) {
    attn.add_units(init);
    mlp.add_units(init);
  }
  void connect(nn::ConnectionChain& chain) const {
    chain.add_residual(attn);
    chain.add_residual(mlp);
  }
};

/// Neighbouring pixels merged, but before the first stage, and blocks.
template <template <class> class Source, class T = float>
struct SwinStage {
  std::vector<nn::LayerNorm<T>> norm;            ///< of merged pixels: one or none
  std::vector<nn::Linear<Source, T>> reduction;  ///< one or none
  std::vector<SwinBlock<Source, T>> blocks;

  Var<T> operator()(const Var<T>& x) {
    Var<T> h = reduction.empty() ? x : reduction[0](norm[0](merge_patches(x)));
    for (auto& block : blocks) h = block(h);
    return h;
  }
  auto members() { return std::tie(reduction, blocks); }
};

/// Patches -> norm -> stages -> norm -> mean over the image -> head. Weights are called as torchvision calls them; there are no biases, and
/// normalisation has no weights. Relative position biases are frozen, and without gates.
/// Source: Liu et al., "Swin transformer", ICCV 2021.
template <template <class> class Source, class T = float>
struct Swin {
  Index size, channels;  ///< of an image
  nn::PatchEmbedding<Source, T> patches;
  nn::LayerNorm<T> first_norm;
  std::vector<SwinStage<Source, T>> stages;
  nn::LayerNorm<T> norm;
  nn::Linear<Source, T> head;

  /// Throws `std::invalid_argument` without stages, unless each has blocks and heads that divide its columns, or if patches do not divide
  /// the images.
  Swin(nn::Init init, const SwinOptions& options) : Swin(init, options, checked(options)) {}

  /// x [batch, size, size, channels] -> logits [batch, outputs]. Throws `std::invalid_argument` for another x.
  Var<T> operator()(const Var<T>& x) {
    require(x.shape() == Shape{x.shape()[0], size, size, channels}, "swin: expected x [batch, ", size, ", ", size, ", ", channels, "], got ", x.shape());
    Var<T> h = first_norm(patches(x));
    for (auto& stage : stages) h = stage(h);
    return head(global_average_pool(norm(h)));
  }
  auto members() { return std::tie(patches, stages, head); }
  std::vector<nn::Connection> connections() const {
    nn::ConnectionChain chain;
    patches.connect(chain);
    for (const auto& stage : stages) {
      for (const auto& reduction : stage.reduction) chain.add(reduction.name + ".weight", 1, 4);
      for (const auto& block : stage.blocks) block.connect(chain);
    }
    chain.add(head.name + ".weight");
    return chain.made;
  }

 private:
  Swin(nn::Init& init, const SwinOptions& options, Index last_columns)
      : size(options.size),
        channels(options.channels),
        patches(init, "features.0.0", options.channels, options.columns, options.patch, options.stem),
        first_norm("features.0.2", options.columns),
        stages(make_stages(init, options)),
        norm("norm", last_columns),
        head(init, "head", last_columns, options.outputs, options.head_gain) {
    if (!options.unit_gates) return;  // after all weights: structured and unstructured searches of one seed have the same ones
    for (auto& stage : stages) {
      for (auto& block : stage.blocks) block.add_units(init);
    }
  }

  static std::vector<SwinStage<Source, T>> make_stages(nn::Init& init, const SwinOptions& options) {
    std::vector<SwinStage<Source, T>> made(options.depths.size());
    Index side = options.size / options.patch, columns = options.columns;
    for (std::size_t s = 0; s < made.size(); ++s) {
      if (s > 0) {
        const std::string name = concat("features.", 2 * s);
        made[s].norm.emplace_back(name + ".norm", 4 * columns);
        made[s].reduction.emplace_back(init, name + ".reduction", 4 * columns, 2 * columns);
        side = (side + 1) / 2;
        columns *= 2;
      }
      for (Index b = 0; b < options.depths[s]; ++b) {
        made[s].blocks.emplace_back(init, concat("features.", 2 * s + 1, '.', b), options, side, columns, options.heads[s], b % 2 == 1);
      }
    }
    return made;
  }
  /// The columns of the last stage.
  static Index checked(const SwinOptions& options) {
    require(!options.depths.empty() && options.depths.size() < 16 && options.heads.size() == options.depths.size(),
            "swin: expected 1 to 15 stages with a depth and heads each, got ", options.depths.size(), " depths and ", options.heads.size(), " heads");
    require(options.patch >= 1 && options.size >= options.patch && options.size % options.patch == 0,
            "swin: expected images whose size the patches divide, got ", options.size, " and ", options.patch);
    require(*std::min_element(options.depths.begin(), options.depths.end()) >= 1, "swin: expected stages of at least one block, got one of ",
            *std::min_element(options.depths.begin(), options.depths.end()));
    require(options.window >= 1 && options.mlp_ratio >= 1, "swin: expected a window and an mlp_ratio of at least 1, got ", options.window, " and ",
            options.mlp_ratio);
    return options.columns << (options.depths.size() - 1);
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::models
