/// \file
/// LeNet-300-100 and its kin: fully connected networks of any widths, over any weight source.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "tombola/nn/activation.hpp"
#include "tombola/nn/connections.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/unit_gates.hpp"
#include "tombola/ops/reshape.hpp"

namespace tombola::inline TOMBOLA_ISA::models {

/// The shape of a fully connected network.
struct LeNetOptions {
  Index inputs = 784;
  std::vector<Index> hidden = {300, 100};
  Index outputs = 10;
  nn::Activation activation = {};
  double head_gain = 1;  ///< of the last layer's weights: 0.1 makes logits a tenth as large, as a softmax of temperature 10 does
  bool unit_gates = false;       ///< structured: a gate on each hidden neuron
  bool input_gates = false;      ///< and one on each input
  bool cost_in_weights = false;  ///< a structured gate counts as many weights as it removes, relative to the mean
};

/// x -> fc1 -> activation -> ... -> fcN. Layers fc1, fc2, ... without biases.
/// Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998.
template <template <class> class Source, class T = float>
struct LeNet {
  nn::Activation activation;
  std::vector<nn::Linear<Source, T>> layers;
  std::vector<nn::UnitGates<T>> units;   ///< of the hidden layers; empty unless structured
  std::vector<nn::UnitGates<T>> inputs;  ///< one, or none

  /// Throws `std::invalid_argument` for a width below 1.
  LeNet(nn::Init init, const LeNetOptions& options) : activation(options.activation) {
    std::vector<Index> widths{options.inputs};
    widths.insert(widths.end(), options.hidden.begin(), options.hidden.end());
    widths.push_back(options.outputs);
    for (std::size_t l = 1; l < widths.size(); ++l) {
      layers.emplace_back(init, concat("fc", l), widths[l - 1], widths[l], l + 1 == widths.size() ? options.head_gain : 1);
    }
    // Gates come after all weights, so that a structured and an unstructured search of one seed have the same weights.
    const auto cost = [&](std::size_t l) {  // weights into and out of a unit
      return !options.cost_in_weights ? 1.0 : static_cast<double>((l == 0 ? 0 : widths[l - 1]) + widths[l + 1]);
    };
    for (std::size_t l = 1; options.unit_gates && l + 1 < widths.size(); ++l) {
      units.emplace_back(init, concat("units", l), widths[l], cost(l));
    }
    if (options.input_gates) inputs.emplace_back(init, "inputs", widths[0], cost(0));
    normalise_costs();
  }

  /// x [batch, inputs], or images [batch, height, width, channels] of as many numbers -> logits [batch, outputs].
  Var<T> operator()(const Var<T>& x) {
    Var<T> h = x.shape().rank() == 4 ? reshape(x, {x.shape()[0], x.shape()[1] * x.shape()[2] * x.shape()[3]}) : x;
    if (!inputs.empty()) h = inputs[0](h);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      h = layers[l](h);
      if (l + 1 == layers.size()) break;
      h = activation(h);
      if (!units.empty()) h = units[l](h);
    }
    return h;
  }
  auto members() { return std::tie(layers, units, inputs); }
  std::vector<nn::Connection> connections() const {
    nn::ConnectionChain chain;
    if (!inputs.empty()) chain.add(inputs[0].name);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      chain.add(layers[l].name + ".weight");
      if (l < units.size()) chain.add(units[l].name);
    }
    return chain.made;
  }

 private:
  // The mean cost is 1, so that one lambda means the same with and without costs.
  void normalise_costs() {
    double total = 0, count = 0;
    const auto for_each_unit_gate = [this](const auto& f) {
      for (auto* group : {&units, &inputs}) nn::for_each_of<GateParameter<T>>(*group, f);
    };
    for_each_unit_gate([&](GateParameter<T>& gate) {
      total += static_cast<double>(gate.cost) * static_cast<double>(gate.size());
      count += static_cast<double>(gate.size());
    });
    for_each_unit_gate([&](GateParameter<T>& gate) {
      gate.cost = static_cast<T>(static_cast<double>(gate.cost) * count / total);
    });
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::models
