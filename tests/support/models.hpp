/// \file
/// What tests of models share: their weights, and a short search on images that can be learned by heart.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "support/tensors.hpp"
#include "tombola/nn/weight_sources.hpp"
#include "tombola/ops/cross_entropy.hpp"
#include "tombola/optim/adam.hpp"
#include "tombola/ticket/model.hpp"

namespace test_support {

using namespace tombola;  // NOLINT: tests of this library

template <class Model>
Index weight_count(Model& model) {
  Index count = 0;
  nn::for_each_of<nn::FrozenTensor<float>>(model, [&](auto& weight) { count += weight.shape().size(); });
  return count;
}

template <class Model>
std::vector<std::string> weight_names(Model& model) {
  std::vector<std::string> names;
  nn::for_each_of<nn::FrozenTensor<float>>(model, [&](auto& weight) { names.push_back(weight.name()); });
  return names;
}

/// Checks that `scaled` draws weights whose names end in one of `last` `gain` times as large as `plain`, and all others alike; how many those are.
template <class Model>
int check_gain(Model& plain, Model& scaled, double gain, const std::vector<std::string>& last) {
  std::map<std::string, float> scales;
  nn::for_each_of<nn::FrozenTensor<float>>(plain, [&](auto& weight) { scales[weight.name()] = weight.origin()->scale; });
  int with_gain = 0;
  nn::for_each_of<nn::FrozenTensor<float>>(scaled, [&](auto& weight) {
    CAPTURE(weight.name());
    const bool is_last = std::any_of(last.begin(), last.end(), [&](const std::string& end) { return weight.name().ends_with(end); });
    const auto default_scale = static_cast<double>(scales.at(weight.name()));
    CHECK(weight.origin()->scale == static_cast<float>(is_last ? gain * default_scale : default_scale));
    with_gain += is_last;
  });
  CHECK(with_gain > 0);
  return with_gain;
}

/// Cross-entropy of some steps of a search on random images that all have labels to learn.
template <class Model>
std::vector<float> search(Model& model, Index size, std::uint32_t steps) {
  Context context(2);
  const auto x = random_tensor<float>({8, size, size, 3}, 1);
  const Tensor<std::int32_t> labels({8}, {0, 1, 2, 3, 4, 5, 6, 7});
  optim::Adam<float> adam(context, nn::gates(model), {.rate = 0.05});
  std::vector<float> losses;
  for (std::uint32_t step = 0; step < steps; ++step) {
    Tape<float> tape(context, {.seed = 1, .step = step});
    const auto loss = cross_entropy(model(tape.input(x.view())), labels.view());
    tape.backward(loss);
    adam.step();
    losses.push_back(loss.item());
  }
  return losses;
}

/// Means of ten losses: each step draws its gates anew, so the loss of one step says little.
inline float first_losses(const std::vector<float>& losses) { return std::accumulate(losses.begin(), losses.begin() + 10, 0.0f) / 10; }
inline float last_losses(const std::vector<float>& losses) { return std::accumulate(losses.end() - 10, losses.end(), 0.0f) / 10; }

/// A search on images of this size makes the loss fall, and its ticket gives the same network in `again`, which has other gates so far.
template <class Model>
void check_search_and_ticket(Model& model, Model& again, Index size, std::uint32_t steps) {
  const auto losses = search(model, size, steps);
  CHECK(last_losses(losses) < 0.7f * first_losses(losses));
  for (auto* gate : nn::gates(model)) CHECK(gate->theta.size() == gate->shape().size());
  ticket::round_moments(model);
  ticket::apply_ticket(ticket::decode(ticket::encode(ticket::make_ticket(model)), "ticket"), again);
  Context context(2);
  Inference<float> pass(context);
  const auto x = random_tensor<float>({8, size, size, 3}, 5);
  CHECK(same_bits<float>(model(pass.input(x.view())).value(), again(pass.input(x.view())).value()));
}

}  // namespace test_support
