/// \file
/// Accuracies of a model under the readings of its gates, and the controls that show what a mask is worth.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tombola/tombola.hpp"

namespace examples {

using namespace tombola;  // NOLINT: programs of this library

/// A data set cut into batches in a fixed order.
using Evaluation = data::Batches<float>;

/// The share of images whose largest logit stands at the label.
template <class Model>
double accuracy(Context& context, Model& model, Evaluation& batches, Reading reading) {
  Index correct = 0, seen = 0;
  for (const auto batch : batches.epoch(0)) {
    Inference<float> pass(context, {.gates = reading});
    correct += count_correct(model(pass.input(batch.rows())).value(), batch.labels);
    seen += batch.size();
  }
  return seen == 0 ? 0.0 : static_cast<double>(correct) / static_cast<double>(seen);
}

struct Readings {
  double relaxed = 0, above_zero = 0, binary = 0;
};

template <class Model>
Readings readings(Context& context, Model& model, Evaluation& batches) {
  return {accuracy(context, model, batches, Reading::relaxed), accuracy(context, model, batches, Reading::above_zero),
          accuracy(context, model, batches, Reading::binary)};
}

/// The mask of every group of gates, by name.
using Masks = std::map<std::string, Bits>;

template <class Model>
Masks binary_masks(Model& model) {
  Masks masks;
  for (const auto* gate : nn::gates(model)) masks.emplace(gate->name, gates::mask(*gate));
  return masks;
}

template <class Model>
void set_masks(Model& model, const Masks& masks) {
  for (auto* gate : nn::gates(model)) gates::set_mask(*gate, masks.at(gate->name));
}

/// Gives a model the weights of another one, frozen or trained, built by the same options.
template <class Model>
void copy_weights(Model& from, Model& to) {
  std::vector<View<const float>> weights;
  nn::for_each_of<nn::FrozenTensor<float>>(from, [&](auto& frozen) { weights.push_back(frozen.value()); });
  nn::for_each_of<Parameter<float>>(from, [&](auto& trained) { weights.push_back(trained.value); });
  auto next = weights.begin();
  nn::for_each_of<nn::FrozenTensor<float>>(to, [&](auto& frozen) { frozen.load(*next++); });
  nn::for_each_of<Parameter<float>>(to, [&](auto& trained) { trained.value = Tensor<float>::copy_of(*next++); });
}

/// Test accuracies that a ticket has to differ from: the mask shuffled within each layer, the same mask on other weights, no mask.
struct Controls {
  double shuffled_mask = 0, reseeded_weights = 0, unmasked = 0;
};

/// Of a model with its own weights (as drawn, loaded or trained) and its masks; `build(seed)` makes one with the weights of a seed.
template <class Model, class Build>
Controls controls(Context& context, Model& searched, const Build& build, std::uint64_t seed, Evaluation& test) {
  const Masks masks = binary_masks(searched);
  const auto measure = [&](std::uint64_t weights_seed, bool own_weights, const auto& change) {
    auto model = build(weights_seed);
    if (own_weights) copy_weights(searched, model);
    Masks changed;
    std::uint32_t group = 0;
    for (const auto& [name, open] : masks) changed.emplace(name, change(open, group++));
    set_masks(model, changed);
    return accuracy(context, model, test, Reading::binary);
  };
  const auto same = [](const Bits& open, std::uint32_t) { return open; };
  const auto shuffle = [seed](const Bits& open, std::uint32_t group) {
    return gates::shuffled(open, {seed, Purpose::control, group, 0});
  };
  const auto all_open = [](const Bits& open, std::uint32_t) {
    Bits all(open.size());
    for (Index i = 0; i < all.size(); ++i) all.set(i, true);
    return all;
  };
  constexpr std::uint64_t another = 1'000'003;  // far from the seeds that people count up from
  return {measure(seed, true, shuffle), measure(seed + another, false, same), measure(seed, true, all_open)};
}

}  // namespace examples
