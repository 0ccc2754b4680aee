/// \file
/// From a model to its ticket, and back.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <iomanip>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tombola/gates/mask.hpp"
#include "tombola/nn/batch_norm.hpp"
#include "tombola/nn/weight_sources.hpp"
#include "tombola/ticket/ticket.hpp"

namespace tombola::inline TOMBOLA_ISA::ticket {

namespace detail {

/// The 16 bits of the bfloat16 next to a number, the even one of two; NaN stays NaN.
inline std::uint16_t to_bfloat16(float value) noexcept {
  if (std::isnan(value)) return 0x7FC0;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}
inline float from_bfloat16(std::uint16_t bits) noexcept { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// How the seed draws weights, for messages; or that it does not.
inline std::string text_of(const std::optional<FrozenWeights>& weights) {
  if (!weights) return "loaded weights";
  return concat(name_of(weights->init), ' ', std::setprecision(9), weights->scale, " of seed ", weights->seed, ", stream ", weights->id);
}

}  // namespace detail

/// Rounds the running moments of normalisation to what a ticket keeps of them, 16 bits: done before a network is evaluated, the ticket's
/// network gives the same results to the last bit.
template <class T = float, class Model>
void round_moments(Model& model) {
  nn::for_each_moment<T>(model, [](const std::string&, Tensor<T>& values) {
    for (T& value : values) value = static_cast<T>(detail::from_bfloat16(detail::to_bfloat16(static_cast<float>(value))));
  });
}

/// The ticket of a model of frozen weights: the binary mask of its gates. A weight without gates is kept as a whole; gates on
/// neurons become `units`, running moments of normalisation `statistics` (16 bits: see round_moments).
/// What the masks do not say is the caller's to put among the properties: how layers are connected, activations, rescaling. After a search a
/// network with normalisation takes its moments anew first: see `nn::restart_moments`.
/// Throws `std::invalid_argument` if the model has a weight that its seed did not draw (trained or loaded weights make no ticket), gates on a
/// weight of another name or shape than a frozen weight has, moments that 16 bits cannot hold or that are none (not finite, a negative variance), or
/// two weights, gates or normalisations of one name.
template <class T = float, class Model>
Ticket make_ticket(Model& model, std::map<std::string, std::string> properties = {}) {
  Ticket ticket;
  ticket.properties = std::move(properties);
  const std::vector<GateParameter<T>*> all_gates = nn::gates<T>(model);
  std::set<std::string> names;
  const auto require_new = [&names](const std::string& name) { require(names.insert(name).second, "ticket: expected different names, got ", name, " twice"); };
  std::map<std::string, const GateParameter<T>*> on_weights;
  for (const GateParameter<T>* gate : all_gates) {
    if (gate->weight.size() != 0) {
      require(on_weights.emplace(gate->name, gate).second, "ticket: expected different names, got ", gate->name, " twice");
      continue;
    }
    require_new(gate->name);
    ticket.units.push_back({gate->name, gates::mask(*gate)});
  }
  nn::for_each_of<Parameter<T>>(model, [](Parameter<T>& parameter) {
    require(false, "ticket: expected weights as the seed drew them, got trained weights ", parameter.name);
  });
  nn::for_each_of<nn::FrozenTensor<T>>(model, [&](nn::FrozenTensor<T>& weight) {
    require_new(weight.name());
    require(weight.origin().has_value(), "ticket: expected weights as the seed drew them, got loaded weights ", weight.name());
    Bits open = Bits::all(weight.shape().size());
    const WeightLayout layout(weight.shape());
    if (const auto gate = on_weights.find(weight.name()); gate != on_weights.end()) {
      require(gate->second->shape() == weight.shape(), weight.name(), ": expected gates ", weight.shape(), ", got ", gate->second->shape());
      const Bits mask = gates::mask(*gate->second);
      for (Index i = 0; i < mask.size(); ++i) open.set(layout.number(i), mask[i]);
      on_weights.erase(gate);
    }
    ticket.seed = weight.origin()->seed;
    ticket.layers.push_back({weight.name(), layout.torchvision(), *weight.origin(), std::move(open), weight.hash()});
  });
  for (const auto& [name, gate] : on_weights) require(false, "ticket: expected a frozen weight for the gates ", name, ", got none of that name");
  nn::for_each_moment<T>(model, [&](const std::string& name, const Tensor<T>& values) {
    require_new(name);
    Statistics& kept = ticket.statistics.emplace_back();
    kept.name = name;
    for (const T value : values) {
      kept.values.push_back(detail::to_bfloat16(static_cast<float>(value)));
      nn::require_moment(name, detail::from_bfloat16(kept.values.back()));
    }
  });
  return ticket;
}

/// Sets the gates of a model, built from the ticket's seed, so that every reading gives the ticket's masks, and its running moments.
/// Throws `std::invalid_argument` unless the model has the ticket's weights, under the same names, gates for its masks (a weight
/// that is kept as a whole needs none) and normalisation for its statistics, in bfloat16; then nothing has changed. Pending gradients are forgotten.
/// Not compared is what a ticket does not hold: rescaling, activations, how layers are connected.
template <class T = float, class Model>
void apply_ticket(const Ticket& ticket, Model& model) {
  std::map<std::string, const Bits*> masks;
  for (const Layer& layer : ticket.layers) masks.emplace(layer.name, &layer.mask);
  for (const Units& units : ticket.units) masks.emplace(units.name, &units.mask);
  std::size_t layers = 0;
  nn::for_each_of<nn::FrozenTensor<T>>(model, [&](nn::FrozenTensor<T>& weight) {
    require(layers < ticket.layers.size(), "ticket: expected a model of ", ticket.layers.size(), " frozen weights, got more: ", weight.name());
    const Layer& layer = ticket.layers[layers++];
    const Shape shape = WeightLayout(weight.shape()).torchvision();
    require(layer.name == weight.name(), "ticket: expected the weights ", layer.name, ' ', layer.shape, " as number ", layers, ", got ", weight.name(), ' ',
            shape);
    require(layer.shape == shape, layer.name, ": expected weights ", layer.shape, ", got ", shape);
    if (weight.origin() != layer.weights)
      throw std::invalid_argument(concat(layer.name, ": expected ", detail::text_of(layer.weights), ", got ", detail::text_of(weight.origin())));
  });
  require(layers == ticket.layers.size(), "ticket: expected a model of ", ticket.layers.size(), " frozen weights, got ", layers);
  std::set<std::string> gated;
  nn::for_each_of<GateParameter<T>>(model, [&](GateParameter<T>& gate) {
    const auto mask = masks.find(gate.name);
    require(mask != masks.end(), "ticket: expected a mask for the gates ", gate.name, ", got none");
    require(mask->second->size() == gate.size(), gate.name, ": expected a mask of ", gate.size(), " gates, got ",
            mask->second->size());
    require(gated.insert(gate.name).second, "ticket: expected gates of different names, got ", gate.name, " twice");
  });
  const auto require_gates = [&gated](const std::string& name) {
    require(gated.contains(name), "ticket: expected gates for the mask ", name, ", got none");
  };
  for (const Layer& layer : ticket.layers) {
    if (layer.mask.count() != layer.mask.size()) require_gates(layer.name);
  }
  for (const Units& units : ticket.units) require_gates(units.name);
  std::map<std::string, const Statistics*> statistics;
  for (const Statistics& each : ticket.statistics) statistics.emplace(each.name, &each);
  std::size_t moments = 0;
  nn::for_each_moment<T>(model, [&](const std::string& name, const Tensor<T>& values) {
    const auto found = statistics.find(name);
    require(found != statistics.end(), "ticket: expected statistics ", name, ", got none");
    require(found->second->format == "bfloat16" && static_cast<Index>(found->second->values.size()) == values.size(), name, ": expected ",
            values.size(), " numbers in bfloat16, got ", found->second->values.size(), " in ", found->second->format);
    for (const std::uint16_t bits : found->second->values) nn::require_moment(name, detail::from_bfloat16(bits));
    ++moments;
  });
  require(moments == ticket.statistics.size(), "ticket: expected a model with ", ticket.statistics.size(), " statistics, got ", moments);
  nn::for_each_moment<T>(model, [&](const std::string& name, Tensor<T>& values) {
    const auto& bits = statistics.at(name)->values;
    for (std::size_t i = 0; i < bits.size(); ++i) values[static_cast<Index>(i)] = static_cast<T>(detail::from_bfloat16(bits[i]));
  });
  nn::for_each_of<GateParameter<T>>(model, [&](GateParameter<T>& gate) {
    const Bits& numbered = *masks.at(gate.name);
    const WeightLayout layout(gate.shape());
    Bits open(gate.size());
    for (Index i = 0; i < open.size(); ++i) open.set(i, numbered[layout.number(i)]);
    gates::set_mask(gate, open);
    gate.clear_gradient();
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::ticket
