/// \file
/// Gates by the book, in double, one at a time: independent of the kernels, but for the noise, which has tests of its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/tensors.hpp"
#include "tombola/gates/options.hpp"

namespace test_support {

using tombola::GateKind, tombola::GateParameter, tombola::PassOptions, tombola::Penalty, tombola::Reading;

inline double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
inline double normal_distribution_of(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }

/// The noise that the gates are drawn with in a pass.
template <class T>
std::vector<float> gate_noise(const GateParameter<T>& gate, const PassOptions& options) {
  std::vector<float> noise(static_cast<std::size_t>(gate.size()));
  const tombola::Stream stream{options.seed, tombola::Purpose::gate_noise, gate.id, options.step};
  if (gate.kind == GateKind::gaussian) {
    tombola::kernels::fill_noise<tombola::kernels::NormalNoise>(stream, 0, gate.size(), noise.data());
  } else {
    tombola::kernels::fill_noise<tombola::kernels::LogisticNoise>(stream, 0, gate.size(), noise.data());
  }
  return noise;
}

/// A gate before the clamp.
inline double unclamped(GateKind kind, double theta, double sigma, double noise) {
  if (kind == GateKind::gaussian) return theta + sigma * noise;
  return sigmoid_of((noise + theta) * 1.5) * 1.2 - 0.1;
}

template <class T>
double sigma_of(const GateParameter<T>& gate, Index i) {
  return static_cast<double>(gate.sigma_mode == tombola::SigmaMode::gate ? gate.learned_sigma.sigmas[i] : gate.sigma);
}

/// Every gate of a pass, before the clamp.
template <class T>
Tensor<double> unclamped_gates(const GateParameter<T>& gate, const PassOptions& options) {
  const auto noise = gate_noise(gate, options);
  Tensor<double> x(gate.shape());
  for (Index i = 0; i < x.size(); ++i) {
    const double n = options.gates == Reading::sampled ? static_cast<double>(noise[static_cast<std::size_t>(i)]) : 0;
    const auto theta = static_cast<double>(gate.theta[i]);
    // Without noise a hard-concrete gate has no temperature either: sigmoid(log alpha), stretched.
    x[i] = options.gates != Reading::sampled && gate.kind == GateKind::hard_concrete
               ? sigmoid_of(theta) * 1.2 - 0.1
               : unclamped(gate.kind, theta, sigma_of(gate, i), n);
  }
  return x;
}

/// Every gate of a pass.
template <class T>
Tensor<double> gate_values(const GateParameter<T>& gate, const PassOptions& options) {
  Tensor<double> z = unclamped_gates(gate, options);
  for (double& v : z) {
    if (options.gates == Reading::above_zero) {
      v = v > 0;
    } else if (options.gates == Reading::binary) {
      v = v > 0.5;
    } else {
      v = std::clamp(v, 0.0, 1.0);
    }
  }
  return z;
}

/// The penalty of one gate from its definition.
inline double penalty_of(GateKind kind, Penalty penalty, double theta, double sigma) {
  const bool gaussian = kind == GateKind::gaussian;
  const double shift = 2.0 / 3 * std::log(0.1 / 1.1);
  const double open = gaussian ? normal_distribution_of(theta / sigma) : sigmoid_of(theta - shift);
  const double one = gaussian ? normal_distribution_of((theta - 1) / sigma) : sigmoid_of(theta + shift);
  const double p = gaussian ? normal_distribution_of((theta - 0.5) / sigma) : sigmoid_of(theta);
  switch (penalty) {
  case Penalty::none:
    return 0;
  case Penalty::sparse:
    return open;
  case Penalty::undecided:
    return open - one;
  case Penalty::variance:
    return 4 * p * (1 - p);
  case Penalty::entropy:
    return -(p * std::log2(p) + (1 - p) * std::log2(1 - p));
  }
  return 0;
}

/// The first options of this seed, by step, in which no gate is within 5e-3 of a kink of the clamp, where differences of order
/// h = 1e-3 would mix both sides. Of 200 gates about one in ten such draws is clear, so the search is short.
template <class T>
PassOptions clear_of_kinks(const std::vector<GateParameter<T>*>& gates, std::uint64_t seed,
                           std::uint32_t first_step = 0) {
  for (std::uint32_t step = first_step; step < first_step + 2000; ++step) {
    const PassOptions options{.gates = Reading::sampled, .seed = seed, .step = step};
    const bool clear = std::all_of(gates.begin(), gates.end(), [&](const GateParameter<T>* gate) {
      const Tensor<double> x = unclamped_gates(*gate, options);
      return std::all_of(x.begin(), x.end(), [](double v) { return std::abs(v) > 5e-3 && std::abs(v - 1) > 5e-3; });
    });
    if (clear) return options;
  }
  throw std::runtime_error("no draw is clear of the kinks");
}

}  // namespace test_support
