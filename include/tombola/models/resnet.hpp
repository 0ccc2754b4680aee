/// \file
/// Residual networks: ResNet-18, 34 and 50, Wide-ResNet-50-2.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "tombola/models/scaled_channels.hpp"
#include "tombola/nn/batch_norm.hpp"
#include "tombola/nn/connections.hpp"
#include "tombola/nn/conv2d.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/unit_gates.hpp"
#include "tombola/ops/pool.hpp"

namespace tombola::inline TOMBOLA_ISA::models {

/// What comes before the blocks.
enum class Stem : std::uint8_t {
  imagenet,  ///< 7 x 7 with stride 2, then pooling: a quarter of each side is left
  cifar,     ///< 3 x 3 at full size
  pooled     ///< 3 x 3 at full size, then pooling: half of each side is left
};

struct ResNetOptions {
  std::array<int, 4> blocks = {3, 4, 6, 3};  ///< of each stage
  bool bottleneck = true;                    ///< 1 x 1, 3 x 3, 1 x 1 with four times the channels, or two 3 x 3
  Stem stem = Stem::cifar;
  double inner_width = 1;  ///< multiplies the 3 x 3 convolutions of bottlenecks
  double width = 1;        ///< multiplies all channels
  Index channels = 3, outputs = 10;
  double head_gain = 1;  ///< of the last layer's weights: 0.1 makes logits a tenth as large, as a softmax of temperature 10 does
  bool unit_gates = false;  ///< structured: a gate on each channel inside of the blocks
};

inline ResNetOptions resnet18() { return {.blocks = {2, 2, 2, 2}, .bottleneck = false}; }
inline ResNetOptions resnet34() { return {.blocks = {3, 4, 6, 3}, .bottleneck = false}; }
inline ResNetOptions resnet50() { return {}; }
inline ResNetOptions wide_resnet50_2() { return {.inner_width = 2}; }

/// y = relu(body(x) + skip(x)) with a body of convolutions, each normalised, and a skip that is x or a normalised 1 x 1 convolution.
template <template <class> class Source, class T = float>
struct ResidualBlock {
  std::vector<nn::Conv2d<Source, T>> convs;
  std::vector<nn::BatchNorm<T>> norms;
  std::vector<nn::Conv2d<Source, T>> skip_conv;  ///< one, or none
  std::vector<nn::BatchNorm<T>> skip_norm;
  std::vector<nn::UnitGates<T>> units;  ///< after each convolution but the last; empty unless structured

  /// `channels`: of x and after each convolution.
  ResidualBlock(nn::Init& init, const std::string& name, const std::vector<Index>& channels, Index stride) {
    const bool bottleneck = channels.size() == 4;
    const std::size_t strided = bottleneck ? 1 : 0;  // the 3 x 3 convolution, as in torchvision
    for (std::size_t l = 0; l + 1 < channels.size(); ++l) {
      const Index kernel = bottleneck && l != 1 ? 1 : 3, step = l == strided ? stride : 1;
      convs.emplace_back(init, concat(name, ".conv", l + 1), channels[l], channels[l + 1], kernel,
                         ConvOptions{.stride = {step, step}, .padding = {kernel / 2, kernel / 2}});
      norms.emplace_back(concat(name, ".bn", l + 1), channels[l + 1], BatchNormOptions{.relu = true});
    }
    if (stride == 1 && channels.front() == channels.back()) return;
    skip_conv.emplace_back(init, name + ".downsample.0", channels.front(), channels.back(), 1, ConvOptions{.stride = {stride, stride}});
    skip_norm.emplace_back(name + ".downsample.1", channels.back());
  }

  Var<T> operator()(const Var<T>& x) {
    Var<T> h = x;
    for (std::size_t l = 0; l + 1 < convs.size(); ++l) {
      h = norms[l](convs[l](h));
      if (!units.empty()) h = units[l](h);
    }
    h = convs.back()(h);
    return norms.back()(h, skip_conv.empty() ? x : skip_norm[0](skip_conv[0](x)));
  }
  auto members() { return std::tie(convs, norms, skip_conv, skip_norm, units); }

  void add_units(nn::Init& init) {
    for (std::size_t l = 0; l + 1 < convs.size(); ++l) units.emplace_back(init, convs[l].name + ".units", convs[l].out);
  }
  void connect(nn::ConnectionChain& chain) const {
    const Index from = chain.group;
    for (std::size_t l = 0; l < convs.size(); ++l) {
      chain.add(convs[l].name + ".weight");
      if (l < units.size()) chain.add(units[l].name);
    }
    chain.add_beside(from, skip_conv.empty() ? "" : skip_conv[0].name + ".weight");
  }
};

/// x -> stem -> four stages of residual blocks -> mean over the image -> fc. Names and shapes as in torchvision; no biases, and
/// normalisation without weights.
/// Source: He et al., "Deep residual learning for image recognition", CVPR 2016; Zagoruyko, Komodakis, "Wide residual networks", BMVC 2016.
template <template <class> class Source, class T = float>
struct ResNet {
  Stem stem;
  nn::Conv2d<Source, T> conv1;
  nn::BatchNorm<T> bn1;
  std::vector<ResidualBlock<Source, T>> blocks;
  nn::Linear<Source, T> fc;

  /// Throws `std::invalid_argument` for a stage without blocks or a width without channels.
  ResNet(nn::Init init, const ResNetOptions& options) : ResNet(init, options, scaled_channels("resnet", 64, options.width)) {}

  /// x [batch, height, width, channels] -> logits [batch, outputs].
  Var<T> operator()(const Var<T>& x) {
    Var<T> h = bn1(conv1(x));
    if (stem != Stem::cifar) h = max_pool2d(h, {.window = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
    for (auto& block : blocks) h = block(h);
    return fc(global_average_pool(h));
  }
  auto members() { return std::tie(conv1, bn1, blocks, fc); }
  std::vector<nn::Connection> connections() const {
    nn::ConnectionChain chain;
    chain.add(conv1.name + ".weight");
    for (const auto& block : blocks) block.connect(chain);
    chain.add(fc.name + ".weight");
    return chain.made;
  }

 private:
  ResNet(nn::Init& init, const ResNetOptions& options, Index first)
      : stem(options.stem),
        conv1(init, "conv1", options.channels, first, stem == Stem::imagenet ? 7 : 3,
              stem == Stem::imagenet ? ConvOptions{.stride = {2, 2}, .padding = {3, 3}} : ConvOptions{.padding = {1, 1}}),
        bn1("bn1", first, {.relu = true}),
        blocks(make_blocks(init, options, first)),
        fc(init, "fc", blocks.back().norms.back().moments.mean.size(), options.outputs, options.head_gain) {
    if (!options.unit_gates) return;  // after all weights: structured and unstructured searches of one seed have the same ones
    for (auto& block : blocks) block.add_units(init);
  }

  static std::vector<ResidualBlock<Source, T>> make_blocks(nn::Init& init, const ResNetOptions& options, Index in) {
    std::vector<ResidualBlock<Source, T>> made;
    for (std::size_t stage = 0; stage < 4; ++stage) {
      require(options.blocks[stage] >= 1, "resnet: expected blocks in each stage, got ", options.blocks[stage]);
      const Index width = scaled_channels("resnet", Index{64} << stage, options.width);
      const Index inner = scaled_channels("resnet", width, options.inner_width);
      for (int b = 0; b < options.blocks[stage]; ++b) {
        const std::vector<Index> channels =
            options.bottleneck ? std::vector<Index>{in, inner, inner, 4 * width} : std::vector<Index>{in, width, width};
        made.emplace_back(init, concat("layer", stage + 1, '.', b), channels, stage > 0 && b == 0 ? 2 : 1);
        in = channels.back();
      }
    }
    return made;
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::models
