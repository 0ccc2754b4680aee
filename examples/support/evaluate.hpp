/// \file
/// How well a network does under the readings of its gates, and the controls that show what a mask is worth.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "support/task.hpp"

namespace examples {

/// What a network does on a part of the data.
struct Score {
  double accuracy = 0;  ///< the share of labels at which the largest logit stands
  double bits = 0;      ///< mean of -log2 of what softmax gives them
  Index labels = 0;     ///< how many there were
};

/// With normalisation by the running moments.
inline Score score(Context& context, Network& network, BatchSource& batches, Reading reading) {
  Index correct = 0, seen = 0;
  double nats = 0;
  for (Index b = 0; b < batches.count(); ++b) {
    const data::Batch<float> batch = batches.get(0, b);
    Inference<float> pass(context, {.gates = reading});
    const Var<float> logits = network(pass.input(batch.x));
    correct += count_correct(logits.value(), batch.labels);
    nats += static_cast<double>(cross_entropy(logits, batch.labels).item()) * static_cast<double>(batch.size());
    seen += batch.size();
  }
  const auto labels = static_cast<double>(seen);
  return {static_cast<double>(correct) / labels, nats / labels / std::numbers::ln2, seen};
}

inline bool normalises(Network& network) {
  bool found = false;
  nn::for_each_of<RunningMoments<float>>(network, [&found](auto&) { found = true; });
  return found;
}

/// Measures networks: each reading of the gates, and each mask, has moments of its own, taken from the first training images as they are.
class Examiner {
 public:
  /// Borrows the context and the task. `moments`: how many training images the moments are taken from, rounded up to whole batches.
  Examiner(Context& context, const Task& task, Index batch, Index moments)
      : context_(context),
        train_(task.in_order(Part::train, batch, context)),
        validation_(task.in_order(Part::validation, batch, context)),
        test_(task.in_order(Part::test, batch, context)),
        moment_batches_(std::min(train_->count(), divide_up(moments, batch))) {}

  /// Running moments of normalisation become those under this reading, rounded as a ticket keeps them.
  void settle(Network& network, Reading reading) {
    if (!normalises(network)) return;
    nn::restart_moments(network, [&] {
      for (Index b = 0; b < moment_batches_; ++b) {
        Inference<float> pass(context_, {.gates = reading, .normalisation = Normalisation::collect});
        network(pass.input(train_->get(0, b).x));
      }
    });
    ticket::round_moments(network);
  }
  bool validates() const noexcept { return validation_ != nullptr; }
  /// Of a settled network; zero for an empty part.
  Score validation(Network& network, Reading reading) { return measure(validation_, network, reading); }
  Score test(Network& network, Reading reading) { return measure(test_, network, reading); }

 private:
  Score measure(const std::unique_ptr<BatchSource>& part, Network& network, Reading reading) {
    return part ? score(context_, network, *part, reading) : Score{};
  }

  Context& context_;
  std::unique_ptr<BatchSource> train_, validation_, test_;
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

/// What a ticket has to differ from on the test set: the mask shuffled within each layer, the same mask on other weights, no mask.
struct Controls {
  Score shuffled_mask, reseeded_weights, unmasked;
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
