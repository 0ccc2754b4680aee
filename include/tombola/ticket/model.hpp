/// \file
/// From a model to its ticket, and back.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "tombola/gates/mask.hpp"
#include "tombola/nn/weight_sources.hpp"
#include "tombola/ticket/ticket.hpp"

namespace tombola::inline TOMBOLA_ISA::ticket {

/// The ticket of a model of frozen weights: the binary mask of its gates. A weight without gates is kept as a whole; gates on
/// neurons become `units`.
/// Throws `std::invalid_argument` if the model has a weight that its seed did not draw: trained or loaded weights make no ticket.
template <class T = float, class Model>
Ticket make_ticket(Model& model, std::map<std::string, std::string> properties = {}) {
  Ticket ticket;
  ticket.properties = std::move(properties);
  std::map<std::string, const GateParameter<T>*> of_weights;
  nn::for_each_of<GateParameter<T>>(model, [&](GateParameter<T>& gate) {
    if (gate.weight.size() != 0) {
      of_weights.emplace(gate.name, &gate);
    } else {
      ticket.units.push_back({gate.name, gates::mask(gate)});
    }
  });
  nn::for_each_of<Parameter<T>>(model, [](Parameter<T>& parameter) {
    require(false, "ticket: expected weights as the seed drew them, got trained weights ", parameter.name);
  });
  nn::for_each_of<nn::FrozenTensor<T>>(model, [&](nn::FrozenTensor<T>& weight) {
    require(weight.origin().has_value(), "ticket: expected weights as the seed drew them, got loaded weights ", weight.name());
    const auto gate = of_weights.find(weight.name());
    Bits open(weight.shape().size());
    for (Index i = 0; i < open.size(); ++i) open.set(i, true);
    const WeightLayout layout(weight.shape());
    if (gate != of_weights.end()) {
      const Bits mask = gates::mask(*gate->second);
      for (Index i = 0; i < mask.size(); ++i) open.set(layout.number(i), mask[i]);
    }
    ticket.seed = weight.origin()->seed;
    ticket.layers.push_back({weight.name(), layout.torchvision(), *weight.origin(), std::move(open), weight.hash()});
  });
  return ticket;
}

/// Sets the gates of a model, built from the ticket's seed, so that every reading gives the ticket's masks.
/// Throws `std::invalid_argument` unless the model has the ticket's weights, under the same names, and gates for its masks (a weight
/// that is kept as a whole needs none); then no gate has changed.
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
  nn::for_each_of<GateParameter<T>>(model, [&](GateParameter<T>& gate) {
    const Bits& numbered = *masks.at(gate.name);
    const WeightLayout layout(gate.shape());
    Bits open(gate.size());
    for (Index i = 0; i < open.size(); ++i) open.set(i, numbered[layout.number(i)]);
    gates::set_mask(gate, open);
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::ticket
