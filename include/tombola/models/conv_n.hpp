/// \file
/// Conv-2, 4, 6 and 8: pairs of convolutions with pooling, then three linear layers.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "tombola/models/scaled_channels.hpp"
#include "tombola/nn/activation.hpp"
#include "tombola/nn/connections.hpp"
#include "tombola/nn/conv2d.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/unit_gates.hpp"
#include "tombola/ops/channels_first.hpp"
#include "tombola/ops/pool.hpp"
#include "tombola/ops/reshape.hpp"

namespace tombola::inline TOMBOLA_ISA::models {

struct ConvNOptions {
  int depth = 6;  ///< convolutions: 2, 4, 6 or 8, of 64, 64, 128, 128, ... channels
  Index size = 32, channels = 3, outputs = 10;  ///< of the images; how many classes
  nn::Activation activation = {nn::ActivationKind::relu};
  double width = 1;         ///< multiplies the channels and the hidden neurons
  double head_gain = 1;     ///< of the last layer's weights: 0.1 makes logits a tenth as large, as a softmax of temperature 10 does
  bool unit_gates = false;  ///< structured: a gate on each channel of the convolutions and each hidden neuron
};

/// x -> (conv 3 x 3, activation, conv 3 x 3, activation, pool)... -> fc1 256 -> fc2 256 -> fc3. Without biases and normalisation.
/// Source: Frankle, Carbin, "The lottery ticket hypothesis", ICLR 2019; Ramanujan et al., CVPR 2020 (8).
template <template <class> class Source, class T = float>
struct ConvN {
  nn::Activation activation;
  std::vector<nn::Conv2d<Source, T>> convs;
  std::vector<nn::Linear<Source, T>> layers;
  std::vector<nn::UnitGates<T>> units;  ///< of the convolutions, then of the hidden linear layers; empty unless structured

  /// Throws `std::invalid_argument` for another depth, images that are not halved without a rest, or a width without channels.
  ConvN(nn::Init init, const ConvNOptions& options) : activation(options.activation) {
    require(options.depth >= 2 && options.depth <= 8 && options.depth % 2 == 0, "conv_n: expected a depth of 2, 4, 6 or 8, got ",
            options.depth);
    const Index last = options.size >> options.depth / 2;
    require(last >= 1 && last << options.depth / 2 == options.size, "conv_n: expected images whose size ", options.depth / 2,
            " halvings divide, got ", options.size);
    Index in = options.channels;
    for (int l = 0; l < options.depth; ++l) {
      const Index out = scaled_channels("conv_n", Index{64} << l / 2, options.width);
      convs.emplace_back(init, concat("conv", l + 1), in, out, 3, ConvOptions{.padding = {1, 1}});
      in = out;
    }
    const Index hidden = scaled_channels("conv_n", 256, options.width);
    const Index widths[] = {in * last * last, hidden, hidden, options.outputs};
    for (int l = 0; l < 3; ++l) layers.emplace_back(init, concat("fc", l + 1), widths[l], widths[l + 1], l == 2 ? options.head_gain : 1);
    if (!options.unit_gates) return;  // gates come after all weights: structured and unstructured searches have the same ones
    for (const auto& conv : convs) units.emplace_back(init, conv.name + ".units", conv.out);
    for (std::size_t l = 0; l < 2; ++l) units.emplace_back(init, layers[l].name + ".units", layers[l].out);
  }

  /// x [batch, size, size, channels] -> logits [batch, outputs].
  Var<T> operator()(const Var<T>& x) {
    Var<T> h = x;
    const auto gated = [this](std::size_t layer, const Var<T>& y) { return units.empty() ? y : units[layer](y); };
    for (std::size_t l = 0; l < convs.size(); ++l) {
      h = gated(l, activation(convs[l](h)));
      if (l % 2 == 1) h = max_pool2d(h);
    }
    h = reshape(channels_first(h), {x.shape()[0], layers[0].in});
    for (std::size_t l = 0; l < layers.size(); ++l) {
      h = layers[l](h);
      if (l + 1 < layers.size()) h = gated(convs.size() + l, activation(h));
    }
    return h;
  }
  auto members() { return std::tie(convs, layers, units); }
  std::vector<nn::Connection> connections() const {
    nn::ConnectionChain chain;
    const auto add = [&](const std::string& layer, std::size_t its_units, Index repeat) {
      chain.add(layer + ".weight", repeat);
      if (its_units < units.size()) chain.add(units[its_units].name);
    };
    for (std::size_t l = 0; l < convs.size(); ++l) add(convs[l].name, l, 1);
    for (std::size_t l = 0; l < layers.size(); ++l) add(layers[l].name, convs.size() + l, l == 0 ? layers[0].in / convs.back().out : 1);
    return chain.made;
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::models
