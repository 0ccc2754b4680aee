/// \file
/// Networks by name: what a ticket's properties say of a network, and the network that they describe.
#pragma once

#include <charconv>
#include <map>
#include <string>
#include <vector>

#include "tombola/nn/state.hpp"
#include "tombola/ticket/model.hpp"
#include "tombola/tombola.hpp"

namespace examples {

using namespace tombola;  // NOLINT: programs of this library

/// A double so that it is read back exactly.
inline std::string exact(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

/// The properties of a ticket in a LeNet.
inline std::map<std::string, std::string> ticket_properties(const models::LeNetOptions& network,
                                                            const std::string& rescale, const data::Statistics& input) {
  std::string hidden;
  for (const Index width : network.hidden) hidden += (hidden.empty() ? "" : ",") + std::to_string(width);
  return {{"network", "lenet"},
          {"hidden", hidden},
          {"activation", std::string(nn::activation_names[static_cast<std::size_t>(network.activation.kind)])},
          {"rescale", rescale},
          {"input.mean", exact(input.mean.at(0))},
          {"input.std", exact(input.deviation.at(0))}};
}

/// Reads a property. `path` is the ticket's, for messages. Throws `std::runtime_error` if the ticket does not have it.
inline const std::string& property(const ticket::Ticket& ticket, const std::string& path, const std::string& key) {
  const auto found = ticket.properties.find(key);
  if (found == ticket.properties.end()) throw std::runtime_error(path + ": expected a ticket with the property " + key + ", got none");
  return found->second;
}
inline double number_property(const ticket::Ticket& ticket, const std::string& path, const std::string& key) {
  const std::string& text = property(ticket, path, key);
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) {
    throw std::runtime_error(path + ": expected a number as property " + key + ", got " + text);
  }
  return value;
}

/// What a ticket's input pixels are normalised by.
inline data::Statistics input_statistics(const ticket::Ticket& ticket, const std::string& path) {
  return {{number_property(ticket, path, "input.mean")}, {number_property(ticket, path, "input.std")}};
}

/// Calls `f(model)` with the ticket's network, its gates set to the ticket's masks.
/// Throws `std::runtime_error` if the ticket is of a network that this program does not know, or does not fit together.
template <class F>
auto with_network(const ticket::Ticket& ticket, const std::string& path, const F& f) {
  if (property(ticket, path, "network") != "lenet") {
    throw std::runtime_error(path + ": expected the network lenet, got " + property(ticket, path, "network"));
  }
  try {
    models::LeNetOptions network;
    const auto& layers = ticket.layers;
    network.inputs = layers.front().shape[1];
    network.hidden.clear();
    for (std::size_t l = 0; l + 1 < layers.size(); ++l) network.hidden.push_back(layers[l].shape[0]);
    network.outputs = layers.back().shape[0];
    network.activation.kind =
        parse_name<nn::ActivationKind>("activation", nn::activation_names, property(ticket, path, "activation"));
    nn::Init init;
    init.seed = ticket.seed;
    init.weights = layers.front().weights.init;
    init.rescale = parse_name<Rescale>("rescale", std::array<std::string_view, 3>{"none", "layer", "neuron"},
                                       property(ticket, path, "rescale"));
    if (layers.front().weights.scale != default_scale(init.weights, network.inputs, layers.front().shape[0])) {
      init.scale = layers.front().weights.scale;
    }
    for (const auto& units : ticket.units) {
      network.unit_gates |= units.name != "inputs";
      network.input_gates |= units.name == "inputs";
    }
    if (network.unit_gates || network.input_gates) {
      models::LeNet<nn::Frozen> model(init, network);
      ticket::apply_ticket(ticket, model);
      return f(model);
    }
    models::LeNet<nn::Gated> model(init, network);
    ticket::apply_ticket(ticket, model);
    return f(model);
  } catch (const std::invalid_argument& mismatch) {
    throw std::runtime_error(path + ": " + mismatch.what());
  }
}

/// Replaces the drawn weights of a model by those in a file. Throws `std::runtime_error` if one is missing or of another shape.
template <class Model>
void load_frozen_weights(Model& model, const std::string& path) {
  const nn::NamedWeights weights = nn::load_weights(path);
  nn::for_each_of<nn::FrozenTensor<float>>(model, [&](nn::FrozenTensor<float>& weight) {
    const auto found = weights.find(weight.name());
    if (found == weights.end() || found->second.shape() != weight.shape()) {
      throw std::runtime_error(concat(path, ": expected weights ", weight.name(), " ", weight.shape(), ", got ",
                                      found == weights.end() ? "none" : to_string(found->second.shape())));
    }
    weight.load(found->second);
  });
}

/// The weights that compute the same as the model under the binary reading: masks, rescaling and unit gates multiplied in.
template <template <class> class Source>
nn::NamedWeights effective_weights(Context& context, models::LeNet<Source>& model) {
  nn::NamedWeights weights;
  Inference<float> pass(context, {.gates = Reading::binary});
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    auto& layer = model.layers[l];
    const auto [w, s] = layer.weight(pass);
    Tensor<float> product = Tensor<float>::copy_of(w.value());
    const auto multiply = [&](Index o, Index i, float by) { product[o * layer.in + i] *= by; };
    for (Index o = 0; s && o < layer.out; ++o) {
      for (Index i = 0; i < layer.in; ++i) multiply(o, i, s.value()[s.shape().size() == 1 ? 0 : o]);
    }
    auto* gates = l == 0                ? (model.inputs.empty() ? nullptr : &model.inputs[0])
                  : model.units.empty() ? nullptr
                                        : &model.units[l - 1];
    if (gates != nullptr) {  // a gate on a neuron multiplies a column of the next layer
      const auto [z, scale] = gated_weight(pass, gates->gate, gates->rescale);
      for (Index o = 0; o < layer.out; ++o) {
        for (Index i = 0; i < layer.in; ++i) multiply(o, i, z.value()[i] * (scale ? scale.value()[0] : 1.0f));
      }
    }
    weights.emplace(layer.name + ".weight", std::move(product));
  }
  return weights;
}

/// How many gates of a LeNet lie on a path of kept weights (or of kept neurons) from an input to an output.
template <template <class> class Source>
Index effective_kept(models::LeNet<Source>& model) {
  std::vector<gates::LayerMask> masks;
  Index kept_units = 0;
  bool connected = true;
  nn::for_each_of<GateParameter<float>>(model, [&](GateParameter<float>& gate) {
    Bits open = gates::mask(gate);
    if (gate.shape().rank() == 2) {
      masks.push_back({gate.shape()[0], gate.shape()[1], std::move(open)});
    } else {  // dense layers in between: a kept neuron is connected unless a whole layer is gone
      kept_units += open.count();
      connected = connected && open.count() > 0;
    }
  });
  Index kept = connected ? kept_units : 0;
  for (const Index count : gates::effective_counts(masks)) kept += count;
  return kept;
}

}  // namespace examples
