/// \file
/// From a model to its ticket, and back.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tombola/gates/mask.hpp"
#include "tombola/nn/weight_sources.hpp"
#include "tombola/ops/batch_norm.hpp"
#include "tombola/ticket/ticket.hpp"

namespace tombola::inline TOMBOLA_ISA::ticket {

namespace detail {

/// The 16 bits of the bfloat16 next to a finite number, the even one of two.
inline std::uint16_t to_bfloat16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}
inline float from_bfloat16(std::uint16_t bits) noexcept { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// Calls f(name, tensor) for the running mean and variance of every normalisation, under torchvision's names.
template <class T, class Model, class F>
void for_each_moment(Model& model, const F& f) {
  nn::for_each_of<RunningMoments<T>>(model, [&f](RunningMoments<T>& moments) {
    f(moments.name + ".running_mean", moments.mean);
    f(moments.name + ".running_var", moments.variance);
  });
}

}  // namespace detail

/// Rounds the running moments of normalisation to what a ticket keeps of them, 16 bits: done before a network is evaluated, the ticket's
/// network gives the same results to the last bit.
template <class T = float, class Model>
void round_moments(Model& model) {
  detail::for_each_moment<T>(model, [](const std::string&, Tensor<T>& values) {
    for (T& value : values) value = static_cast<T>(detail::from_bfloat16(detail::to_bfloat16(static_cast<float>(value))));
  });
}

/// The ticket of a model of frozen weights: the binary mask of its gates. A weight without gates is kept as a whole; gates on
/// neurons become `units`, running moments of normalisation `statistics` (16 bits: see round_moments).
/// Throws `std::invalid_argument` if the model has a weight that its seed did not draw: trained or loaded weights make no ticket.
template <class T = float, class Model>
Ticket make_ticket(Model& model, std::map<std::string, std::string> properties = {}) {
  Ticket ticket;
  ticket.properties = std::move(properties);
  const std::vector<GateParameter<T>*> all_gates = nn::gates<T>(model);
  for (const GateParameter<T>* gate : all_gates) {
    if (gate->weight.size() == 0) ticket.units.push_back({gate->name, gates::mask(*gate)});
  }
  nn::for_each_of<Parameter<T>>(model, [](Parameter<T>& parameter) {
    require(false, "ticket: expected weights as the seed drew them, got trained weights ", parameter.name);
  });
  nn::for_each_of<nn::FrozenTensor<T>>(model, [&](nn::FrozenTensor<T>& weight) {
    require(weight.origin().has_value(), "ticket: expected weights as the seed drew them, got loaded weights ", weight.name());
    Bits open = Bits::all(weight.shape().size());
    const WeightLayout layout(weight.shape());
    for (const GateParameter<T>* gate : all_gates) {
      if (gate->weight.size() == 0 || gate->name != weight.name()) continue;
      const Bits mask = gates::mask(*gate);
      for (Index i = 0; i < mask.size(); ++i) open.set(layout.number(i), mask[i]);
      break;
    }
    ticket.seed = weight.origin()->seed;
    ticket.layers.push_back({weight.name(), layout.torchvision(), *weight.origin(), std::move(open), weight.hash()});
  });
  detail::for_each_moment<T>(model, [&](const std::string& name, const Tensor<T>& values) {
    Statistics& kept = ticket.statistics.emplace_back();
    kept.name = name;
    for (const T value : values) kept.values.push_back(detail::to_bfloat16(static_cast<float>(value)));
  });
  return ticket;
}

/// Sets the gates of a model, built from the ticket's seed, so that every reading gives the ticket's masks, and its running moments.
/// Throws `std::invalid_argument` unless the model has the ticket's weights, under the same names, gates for its masks (a weight
/// that is kept as a whole needs none) and normalisation for its statistics, in bfloat16; then nothing has changed.
template <class T = float, class Model>
void apply_ticket(const Ticket& ticket, Model& model) {
  std::map<std::string, const Bits*> masks;
  for (const Layer& layer : ticket.layers) masks.emplace(layer.name, &layer.mask);
  for (const Units& units : ticket.units) masks.emplace(units.name, &units.mask);
  std::size_t layers = 0;
  nn::for_each_of<nn::FrozenTensor<T>>(model, [&](nn::FrozenTensor<T>& weight) {
    const bool there = layers < ticket.layers.size() && ticket.layers[layers].name == weight.name() &&
                       ticket.layers[layers].shape == WeightLayout(weight.shape()).torchvision() && weight.origin() == ticket.layers[layers].weights;
    require(there, "ticket: expected a model with the ticket's weights in order, got ", weight.name(), " ", weight.shape());
    ++layers;
  });
  require(layers == ticket.layers.size(), "ticket: expected a model of ", ticket.layers.size(), " weights, got ", layers);
  std::set<std::string> gated;
  nn::for_each_of<GateParameter<T>>(model, [&](GateParameter<T>& gate) {
    const auto mask = masks.find(gate.name);
    require(mask != masks.end(), "ticket: expected a mask for the gates ", gate.name, ", got none");
    require(mask->second->size() == gate.size(), gate.name, ": expected a mask of ", gate.size(), " gates, got ",
            mask->second->size());
    gated.insert(gate.name);
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
  detail::for_each_moment<T>(model, [&](const std::string& name, const Tensor<T>& values) {
    const auto found = statistics.find(name);
    require(found != statistics.end(), "ticket: expected statistics ", name, ", got none");
    require(found->second->format == "bfloat16" && static_cast<Index>(found->second->values.size()) == values.size(), name, ": expected ",
            values.size(), " numbers in bfloat16, got ", found->second->values.size(), " in ", found->second->format);
    const bool variance = name.ends_with(".running_var");
    for (const std::uint16_t bits : found->second->values) {
      const float value = detail::from_bfloat16(bits);
      require(std::isfinite(value) && (!variance || value >= 0), name, ": expected finite moments, variances of at least 0, got ", value);
    }
    ++moments;
  });
  require(moments == ticket.statistics.size(), "ticket: expected a model with ", ticket.statistics.size(), " statistics, got ", moments);
  detail::for_each_moment<T>(model, [&](const std::string& name, Tensor<T>& values) {
    const auto& bits = statistics.at(name)->values;
    for (std::size_t i = 0; i < bits.size(); ++i) values[static_cast<Index>(i)] = static_cast<T>(detail::from_bfloat16(bits[i]));
  });
  nn::for_each_of<GateParameter<T>>(model, [&](GateParameter<T>& gate) {
    const Bits& numbered = *masks.at(gate.name);
    const WeightLayout layout(gate.shape());
    Bits open(gate.size());
    for (Index i = 0; i < open.size(); ++i) open.set(i, numbered[layout.number(i)]);
    gates::set_mask(gate, open);
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::ticket
