/// \file
/// Accuracies of a network under the readings of its gates, and the controls that show what a mask is worth.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/networks.hpp"

namespace examples {

/// The images of a run, and what they are normalised by: mean and deviation of all training images.
struct Data {
  data::Images train, validation, test;
  data::Statistics statistics;
};

/// A data set cut into batches in a fixed order.
using Evaluation = data::Batches<float>;

inline data::BatchOptions evaluation_options(Index batch, const data::Statistics& statistics, const Context& context) {
  return {.size = batch, .shuffle = false, .statistics = statistics, .threads = &context.threads()};
}

/// The share of images whose largest logit stands at the label; normalisation by the running moments.
inline double accuracy(Context& context, Network& network, Evaluation& batches, Reading reading) {
  Index correct = 0, seen = 0;
  for (const auto batch : batches.epoch(0)) {
    Inference<float> pass(context, {.gates = reading});
    correct += count_correct(network(pass.input(batch.x)).value(), batch.labels);
    seen += batch.size();
  }
  return seen == 0 ? 0.0 : static_cast<double>(correct) / static_cast<double>(seen);
}

inline bool normalises(Network& network) {
  bool found = false;
  nn::for_each_of<RunningMoments<float>>(network, [&found](auto&) { found = true; });
  return found;
}

/// Measures networks: each reading of the gates, and each mask, has moments of its own, taken from the first training images as they are.
class Examiner {
 public:
  /// Borrows all of them. `moments`: how many training images the moments are taken from, rounded up to whole batches.
  Examiner(Context& context, const Data& data, Index batch, Index moments)
      : context_(context),
        train_(data.train, evaluation_options(batch, data.statistics, context)),
        validation_(data.validation, evaluation_options(batch, data.statistics, context)),
        test_(data.test, evaluation_options(batch, data.statistics, context)),
        moment_batches_(std::min(train_.count(), (moments + batch - 1) / batch)) {}

  /// Running moments of normalisation become those under this reading, rounded as a ticket keeps them.
  void settle(Network& network, Reading reading) {
    if (!normalises(network)) return;
    nn::restart_moments(network, [&] {
      for (Index b = 0; b < moment_batches_; ++b) {
        Inference<float> pass(context_, {.gates = reading, .normalisation = Normalisation::collect});
        network(pass.input(train_.get(0, b).x));
      }
    });
    ticket::round_moments(network);
  }
  /// Of a settled network.
  double validation(Network& network, Reading reading) { return accuracy(context_, network, validation_, reading); }
  double test(Network& network, Reading reading) { return accuracy(context_, network, test_, reading); }

 private:
  Context& context_;
  Evaluation train_, validation_, test_;
  Index moment_batches_;
};

/// The mask of every group of gates, by name.
using Masks = std::map<std::string, Bits>;

inline Masks binary_masks(Network& network) {
  Masks masks;
  for (const auto* gate : nn::gates(network)) masks.emplace(gate->name, gates::mask(*gate));
  return masks;
}

inline void set_masks(Network& network, const Masks& masks) {
  for (auto* gate : nn::gates(network)) gates::set_mask(*gate, masks.at(gate->name));
}

/// Gives a network the weights of another one, frozen or trained, built by the same options.
inline void copy_weights(Network& from, Network& to) {
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

/// Of a network with its own weights (as drawn, loaded or trained) and its masks, moments taken anew for each; `build(seed)` makes one
/// with the weights of a seed.
inline Controls controls(Examiner& examiner, Network& searched, const std::function<Network(std::uint64_t)>& build, std::uint64_t seed) {
  const Masks masks = binary_masks(searched);
  const auto measure = [&](std::uint64_t weights_seed, bool own_weights, const auto& change) {
    Network network = build(weights_seed);
    if (own_weights) copy_weights(searched, network);
    Masks changed;
    std::uint32_t group = 0;
    for (const auto& [name, open] : masks) changed.emplace(name, change(open, group++));
    set_masks(network, changed);
    examiner.settle(network, Reading::binary);
    return examiner.test(network, Reading::binary);
  };
  const auto same = [](const Bits& open, std::uint32_t) { return open; };
  const auto shuffle = [seed](const Bits& open, std::uint32_t group) { return gates::shuffled(open, {seed, Purpose::control, group, 0}); };
  const auto all_open = [](const Bits& open, std::uint32_t) { return Bits::all(open.size()); };
  constexpr std::uint64_t another = 1'000'003;  // far from the seeds that people count up from
  return {measure(seed, true, shuffle), measure(seed + another, false, same), measure(seed, true, all_open)};
}

}  // namespace examples
