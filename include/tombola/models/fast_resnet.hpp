/// \file
/// A small residual network for processors: most accuracy for an hour of two cores.
#pragma once

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
#include "tombola/ops/reshape.hpp"

namespace tombola::inline TOMBOLA_ISA::models {

struct FastResNetOptions {
  Index stem = 32;                             ///< channels of the first convolution
  std::vector<Index> stages = {64, 256, 256};  ///< channels; each halves the image
  double width = 1;                            ///< multiplies all of them
  Index size = 32, channels = 3, outputs = 10;
  double head_gain = 1;  ///< of the last layer's weights: 0.1 makes logits a tenth as large, as a softmax of temperature 10 does
  bool unit_gates = false;  ///< structured: a gate on each channel of the stages' first convolutions
};

/// h = relu(norm(pool(conv(x)))), y = relu(norm(conv(h)) + h), with convolutions 3 x 3.
template <template <class> class Source, class T = float>
struct FastStage {
  nn::Conv2d<Source, T> conv;
  nn::BatchNorm<T> norm;
  nn::Conv2d<Source, T> residual;
  nn::BatchNorm<T> residual_norm;
  std::vector<nn::UnitGates<T>> units;  ///< on h: one group, or none

  FastStage(nn::Init& init, const std::string& name, Index in, Index out)
      : conv(init, name + ".conv", in, out, 3, {.padding = {1, 1}}),
        norm(name + ".bn", out, {.relu = true}),
        residual(init, name + ".residual", out, out, 3, {.padding = {1, 1}}),
        residual_norm(name + ".residual_bn", out, {.relu = true}) {}

  Var<T> operator()(const Var<T>& x) {
    Var<T> h = norm(max_pool2d(conv(x)));
    if (!units.empty()) h = units[0](h);
    return residual_norm(residual(h), h);
  }
  auto members() { return std::tie(conv, norm, residual, residual_norm, units); }
};

/// x -> conv 3 x 3 -> stages -> max over the image -> fc. Normalisation without weights, no biases.
/// After: Page, "How to train your ResNet", 2018 (ResNet-9); Jordan, arXiv 2404.00498, whose widths the stages have.
template <template <class> class Source, class T = float>
struct FastResNet {
  nn::Conv2d<Source, T> conv1;
  nn::BatchNorm<T> bn1;
  std::vector<FastStage<Source, T>> stages;
  nn::Linear<Source, T> fc;

  /// Throws `std::invalid_argument` without stages, for images that are not halved without a rest, or a width without channels.
  FastResNet(nn::Init init, const FastResNetOptions& options) : FastResNet(init, options, checked(options)) {}

  /// x [batch, size, size, channels] -> logits [batch, outputs].
  Var<T> operator()(const Var<T>& x) {
    Var<T> h = bn1(conv1(x));
    for (auto& stage : stages) h = stage(h);
    const Index rest = h.shape()[1];
    if (rest > 1) h = max_pool2d(h, {.window = {rest, rest}, .stride = {rest, rest}});
    return fc(reshape(h, {h.shape()[0], fc.in}));
  }
  auto members() { return std::tie(conv1, bn1, stages, fc); }
  std::vector<nn::Connection> connections() const {
    nn::ConnectionChain chain;
    chain.add(conv1.name + ".weight");
    for (const auto& stage : stages) {
      chain.add(stage.conv.name + ".weight");
      if (!stage.units.empty()) chain.add(stage.units[0].name);
      const Index from = chain.group;
      chain.add(stage.residual.name + ".weight");
      chain.add_beside(from);
    }
    chain.add(fc.name + ".weight");
    return chain.made;
  }

 private:
  FastResNet(nn::Init& init, const FastResNetOptions& options, Index stem)
      : conv1(init, "conv1", options.channels, stem, 3, {.padding = {1, 1}}),
        bn1("bn1", stem, {.relu = true}),
        stages(make_stages(init, options, stem)),
        fc(init, "fc", stages.back().conv.out, options.outputs, options.head_gain) {
    if (!options.unit_gates) return;  // after all weights: structured and unstructured searches of one seed have the same ones
    for (auto& stage : stages) stage.units.emplace_back(init, stage.conv.name + ".units", stage.conv.out);
  }

  static std::vector<FastStage<Source, T>> make_stages(nn::Init& init, const FastResNetOptions& options, Index in) {
    std::vector<FastStage<Source, T>> made;
    for (const Index channels : options.stages) {
      const Index out = scaled_channels("fast_resnet", channels, options.width);
      made.emplace_back(init, concat("stage", made.size() + 1), in, out);
      in = out;
    }
    return made;
  }
  static Index checked(const FastResNetOptions& options) {
    const auto stages = options.stages.size();
    require(stages >= 1 && stages < 16 && options.size >> stages >= 1 && options.size >> stages << stages == options.size,
            "fast_resnet: expected images whose size the halvings of 1 to 15 stages divide, got ", options.size, " and ", stages, " stages");
    return scaled_channels("fast_resnet", options.stem, options.width);
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::models
