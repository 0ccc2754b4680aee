/// \file
/// What gates are made of: the options of a layer's gates, and their start.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "tombola/autograd/gate_parameter.hpp"
#include "tombola/kernels/gate_formulas.hpp"

namespace tombola::inline TOMBOLA_ISA::gates {

/// The range that a gate's parameter is kept in. Inside [-1, 1.25] (for sigma = 1/2) a Gaussian gate can always return: beyond
/// mu = 2 both the penalty's gradient and P(0 < z < 1) vanish.
struct Bounds {
  double low, high;
  static constexpr Bounds none() noexcept {
    return {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  }
};

/// How gates are drawn and where they start.
struct GateOptions {
  GateKind kind = GateKind::gaussian;
  double sigma = 0.5;  ///< width of the noise (Gaussian only)
  SigmaMode sigma_mode = SigmaMode::fixed;
  bool sigma_through_penalty = false;
  std::optional<double> start = std::nullopt;   ///< mean of the first parameters; default: a relaxed gate of 1/2, or the bound next to it
  double start_deviation = 0.01;                ///< their standard deviation
  /// How far outside of (0, 1) before the clamp the gradient still flows. 0: the derivative of the clamp. More: that of a wider one, with
  /// which closed and open gates learn what they would change, however narrow the noise is (a straight-through estimator: Bengio et
  /// al., arXiv 1308.3432; the window is that of Hubara et al., arXiv 1602.02830).
  double reach = 0;
  /// How steep the clamp of a sampled gate is around 1/2: z = clamp((draw - 1/2) sharpness + 1/2, 0, 1). 1: the relaxed gate. Large: a gate
  /// that is nearly always 0 or 1, as in a ticket; its penalties are those of what is drawn. dz/dmu stays that of sharpness 1, within `reach`;
  /// so do the other readings.
  double sharpness = 1;
  std::optional<Bounds> bounds = std::nullopt;  ///< default [-1, 1.25] (Gaussian), [-5, 5] (hard-concrete)

  constexpr Bounds bounds_or_default() const noexcept {
    return bounds.value_or(kind == GateKind::gaussian ? Bounds{-1, 1.25} : Bounds{-5, 5});
  }
  constexpr double start_or_default() const noexcept {
    const auto [low, high] = bounds_or_default();
    return start.value_or(std::max(low, std::min(kind == GateKind::gaussian ? 0.5 : 0.0, high)));  // any value if they are no range
  }
};

/// The gates of one layer at their start: theta_i = start + start_deviation n_i within the bounds, a function of (seed, id, i).
/// `weight` is the frozen weight that the gates multiply, borrowed as long as the gates, or empty.
/// Throws `std::invalid_argument` for a sigma not in [1e-6, 100] (learned: not in [.1, 1], or not Gaussian), bounds that are no range,
/// a start that is not finite or outside of them, a reach not in [0, 100], a sharpness not in [1, 1e6], or a weight of another shape.
template <class T>
GateParameter<T> make_gates(const GateOptions& options, std::string name, std::uint64_t seed, std::uint32_t id,
                            const Shape& shape, View<const T> weight = {}) {
  const bool gaussian = options.kind == GateKind::gaussian;
  const Bounds bounds = options.bounds_or_default();
  require(options.sigma >= 1e-6 && options.sigma <= 100, name, ": expected a gate sigma in [1e-6, 100], got ", options.sigma);
  require(bounds.low < bounds.high, name, ": expected gate bounds with low < high, got [", bounds.low, ", ",
          bounds.high, "]");
  const double start = options.start_or_default();
  require(std::isfinite(static_cast<T>(start)), name, ": expected a finite start, got ", start);
  require(start >= bounds.low && start <= bounds.high, name, ": expected a start within the bounds [", bounds.low, ", ", bounds.high, "], got ",
          start);
  require(options.reach >= 0 && options.reach <= 100, name, ": expected a gate reach in [0, 100], got ", options.reach);
  require(options.sharpness >= 1 && options.sharpness <= 1e6, name, ": expected a gate sharpness in [1, 1e6], got ", options.sharpness);
  require(options.start_deviation >= 0 && std::isfinite(options.start_deviation), name,
          ": expected a finite start deviation of at least 0, got ", options.start_deviation);
  require(gaussian || options.sigma_mode == SigmaMode::fixed, name,
          ": expected Gaussian gates for a learned sigma, got hard-concrete");
  require(weight.size() == 0 || weight.shape() == shape, name, ": expected weights ", shape, ", got ", weight.shape());

  GateParameter<T> gate;
  gate.name = std::move(name);
  gate.id = id;
  gate.kind = options.kind;
  gate.theta = Tensor<T>(shape);
  gate.m = Tensor<T>(shape);
  gate.v = Tensor<T>(shape);
  gate.sigma = static_cast<T>(options.sigma);
  gate.sigma_mode = options.sigma_mode;
  gate.reach = static_cast<T>(options.reach);
  gate.sharpness = static_cast<T>(options.sharpness);
  gate.low = static_cast<T>(bounds.low);
  gate.high = static_cast<T>(bounds.high);
  gate.weight = weight;

  Tensor<float> noise(shape);
  kernels::fill_noise<kernels::NormalNoise>({seed, Purpose::gate_start, id, 0}, 0, shape.size(), noise.data());
  for (Index i = 0; i < shape.size(); ++i) {
    gate.theta[i] = std::clamp(static_cast<T>(start + options.start_deviation * static_cast<double>(noise[i])),
                               gate.low, gate.high);
  }
  if (options.sigma_mode != SigmaMode::fixed) {
    using Learned = LearnedSigma<T>;
    require(gate.sigma >= Learned::least && gate.sigma <= Learned::largest, gate.name,
            ": expected a learned sigma that starts in [", Learned::least, ", ", Learned::largest, "], got ",
            options.sigma);
    const bool each = options.sigma_mode == SigmaMode::gate;
    const Shape sigma_shape{each ? shape.size() : 1};
    gate.learned_sigma = {Tensor<T>::filled(sigma_shape, std::log(gate.sigma)), Tensor<T>(sigma_shape),
                          Tensor<T>(sigma_shape), each ? Tensor<T>::filled(sigma_shape, gate.sigma) : Tensor<T>(),
                          options.sigma_through_penalty};
    gate.update_sigma();  // exp(log sigma) may be off by a bit, and log sigma is what a checkpoint holds
  }
  return gate;
}

template <class T>
GateParameter<T> make_gates(const GateOptions& options, std::string name, std::uint64_t seed, std::uint32_t id, const Shape& shape,
                            const Tensor<T>&& weight) = delete;  // it would be gone

/// Calls `f(formulas)` with the formulas of these gates.
template <class T, class F>
decltype(auto) with_formulas(const GateParameter<T>& gate, const F& f) {
  if (gate.kind == GateKind::gaussian) return f(kernels::GaussianGate<T>(gate.sharpness));
  return f(kernels::HardConcreteGate<T>(gate.sharpness));
}

}  // namespace tombola::inline TOMBOLA_ISA::gates
