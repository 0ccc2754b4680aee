/// \file
/// Adam for gates: it takes gate parameters only, so that no code path can train a frozen weight.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "tombola/gates/gradient.hpp"

namespace tombola::inline TOMBOLA_ISA::optim {

struct AdamOptions {
  double rate = 0.05;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// theta <- clamp(theta - rate m^ / (sqrt(v^) + epsilon), low, high) for the gates of a model, without weight decay.
/// Source: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015.
template <class T>
class Adam {
 public:
  /// Borrows the context and the gates. Throws `std::invalid_argument` for options out of range.
  Adam(Context& context, std::vector<GateParameter<T>*> gates, const AdamOptions& options = {})
      : context_(&context),
        gates_(std::move(gates)),
        options_(options) {
    set_rate(options.rate);
    const auto beta1 = static_cast<T>(options.beta1), beta2 = static_cast<T>(options.beta2), epsilon = static_cast<T>(options.epsilon);
    require(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, "adam: expected betas in [0, 1) in the type of the gates, got ", options.beta1, " and ",
            options.beta2);
    require(epsilon > 0 && std::isfinite(epsilon), "adam: expected a finite epsilon above 0, got ", options.epsilon);
  }

  /// Throws `std::invalid_argument` for a rate below 0, or that is not finite in the type of the gates.
  void set_rate(double rate) {
    require(rate >= 0 && rate <= std::numeric_limits<T>::max(), "adam: expected a finite rate of at least 0, got ", rate);
    options_.rate = rate;
  }
  /// How many steps were made; part of a checkpoint.
  std::uint64_t steps() const noexcept { return steps_; }
  void set_steps(std::uint64_t steps) noexcept { steps_ = steps; }
  const std::vector<GateParameter<T>*>& gates() const noexcept { return gates_; }

  /// One step with what the backward passes since the last step left; gates without any gradient stay. Clears the gradients.
  void step() {
    ++steps_;
    const auto t = static_cast<double>(steps_);
    kernels::AdamStep<T> constants{static_cast<T>(options_.beta1),
                                   static_cast<T>(options_.beta2),
                                   static_cast<T>(options_.epsilon),
                                   static_cast<T>(options_.rate / (1 - std::pow(options_.beta1, t))),
                                   static_cast<T>(1 / std::sqrt(1 - std::pow(options_.beta2, t))),
                                   T(0),
                                   T(0)};
    for (GateParameter<T>* gate : gates_) {
      if (!gate->pending && !gate->has_gradient && gate->penalty_weight == T(0)) continue;
      Tensor<T> sigma_gradient;
      if (gate->sigma_mode != SigmaMode::fixed) sigma_gradient = gates::log_sigma_gradient(*context_, *gate);
      step_theta(*gate, constants);
      if (gate->sigma_mode != SigmaMode::fixed) step_sigma(*gate, constants, sigma_gradient);
      gate->clear_gradient();
    }
  }

 private:
  void step_theta(GateParameter<T>& gate, kernels::AdamStep<T> constants) {
    constants.low = gate.low;
    constants.high = gate.high;
    if (gate.has_gradient) {
      const Tensor<T> gradient = gates::gradient(*context_, gate);
      kernels::adam(context_->threads(), constants, gate.size(), gradient.data(), gate.theta.data(), gate.m.data(),
                    gate.v.data());
      return;
    }
    const auto parts = gates::gradient_parts(gate, true);
    gates::with_formulas<T>(gate, [&](auto formulas) {
      kernels::gate_adam(context_->threads(), formulas, parts, constants, gate.theta.data(), gate.m.data(), gate.v.data());
    });
  }

  void step_sigma(GateParameter<T>& gate, kernels::AdamStep<T> constants, const Tensor<T>& gradient) {
    auto& learned = gate.learned_sigma;
    constants.low = std::log(LearnedSigma<T>::least);
    constants.high = std::log(LearnedSigma<T>::largest);
    kernels::adam(context_->threads(), constants, gradient.size(), gradient.data(), learned.log_sigma.data(),
                  learned.m.data(), learned.v.data());
    gate.update_sigma();
  }

  Context* context_;
  std::vector<GateParameter<T>*> gates_;
  AdamOptions options_;
  std::uint64_t steps_ = 0;
};

}  // namespace tombola::inline TOMBOLA_ISA::optim
