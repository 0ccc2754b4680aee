/// \file
/// What a reference computes a model with: its weights in double, by their names.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "support/gates.hpp"
#include "tombola/nn/weight_sources.hpp"

namespace test_support {

/// Trained weights, and frozen ones times their gates as a pass reads and rescales them (none, or by layer); structured gates alone.
template <class Model>
std::map<std::string, std::vector<double>> named_weights(Model& model, tombola::Rescale rescale, const PassOptions& how) {
  std::map<std::string, std::vector<double>> weights;
  const auto add = [&](const std::string& name, tombola::View<const double> value) { weights[name].assign(value.begin(), value.end()); };
  tombola::nn::for_each_of<tombola::Parameter<double>>(model, [&](const auto& weight) { add(weight.name, weight.value.view()); });
  tombola::nn::for_each_of<tombola::nn::FrozenTensor<double>>(model, [&](const auto& weight) { add(weight.name(), weight.value()); });
  for (const auto* gate : tombola::nn::gates<double>(model)) {
    const Tensor<double> z = gate_values(*gate, how);
    const double open = std::accumulate(z.begin(), z.end(), 0.0);
    const double factor = rescale == tombola::Rescale::layer ? std::sqrt(static_cast<double>(z.size()) / std::max(1.0, open)) : 1;
    auto& values = weights.try_emplace(gate->name, static_cast<std::size_t>(z.size()), 1.0).first->second;
    for (Index i = 0; i < z.size(); ++i) values[static_cast<std::size_t>(i)] *= z[i] * factor;
  }
  return weights;
}

}  // namespace test_support
