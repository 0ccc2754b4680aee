/// \file
/// The shallow convolutional network 32-64-128.
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

struct ShallowCnnOptions {
  std::vector<Index> stages = {32, 64, 128};    ///< channels; each halves the image
  double width = 1;                             ///< multiplies all of them
  Index size = 32, channels = 3, outputs = 10;  ///< of the images; how many classes
  nn::Activation activation = {nn::ActivationKind::relu};
  double head_gain = 1;  ///< of the last layer's weights: 0.1 makes logits a tenth as large, as a softmax of temperature 10 does
  bool unit_gates = false;  ///< structured: a gate on each channel
};

/// x -> (conv 3 x 3, activation, pool)... -> fc. Without biases and normalisation.
template <template <class> class Source, class T = float>
struct ShallowCnn {
  nn::Activation activation;
  std::vector<nn::Conv2d<Source, T>> convs;
  nn::Linear<Source, T> fc;
  std::vector<nn::UnitGates<T>> units;  ///< of the convolutions; empty unless structured

  /// Throws `std::invalid_argument` without stages, for images that are not halved without a rest, or a width without channels.
  ShallowCnn(nn::Init init, const ShallowCnnOptions& options)
      : activation(options.activation),
        convs(make_convs(init, options)),
        fc(init, "fc", convs.back().out * side(options) * side(options), options.outputs, options.head_gain) {
    if (!options.unit_gates) return;
    for (const auto& conv : convs) units.emplace_back(init, conv.name + ".units", conv.out);
  }

  /// x [batch, size, size, channels] -> logits [batch, outputs].
  Var<T> operator()(const Var<T>& x) {
    Var<T> h = x;
    for (std::size_t l = 0; l < convs.size(); ++l) {
      h = max_pool2d(activation(convs[l](h)));
      if (!units.empty()) h = units[l](h);
    }
    return fc(reshape(channels_first(h), {x.shape()[0], fc.in}));
  }
  auto members() { return std::tie(convs, fc, units); }
  std::vector<nn::Connection> connections() const {
    nn::ConnectionChain chain;
    for (std::size_t l = 0; l < convs.size(); ++l) {
      chain.add(convs[l].name + ".weight");
      if (!units.empty()) chain.add(units[l].name);
    }
    chain.add(fc.name + ".weight", fc.in / convs.back().out);
    return chain.made;
  }

 private:
  static Index side(const ShallowCnnOptions& options) { return options.size >> options.stages.size(); }
  static std::vector<nn::Conv2d<Source, T>> make_convs(nn::Init& init, const ShallowCnnOptions& options) {
    const auto stages = options.stages.size();
    require(stages >= 1 && stages < 16 && side(options) >= 1 && side(options) << stages == options.size,
            "shallow_cnn: expected images whose size the halvings of 1 to 15 stages divide, got ", options.size, " and ", stages, " stages");
    std::vector<nn::Conv2d<Source, T>> made;
    Index in = options.channels;
    for (std::size_t l = 0; l < stages; ++l) {
      const Index out = scaled_channels("shallow_cnn", options.stages[l], options.width);
      made.emplace_back(init, concat("conv", l + 1), in, out, 3, ConvOptions{.padding = {1, 1}});
      in = out;
    }
    return made;
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::models
