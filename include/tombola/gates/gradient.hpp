/// \file
/// The gradient of gates in its parts, as the optimiser takes it, and made explicit for those who look at it.
#pragma once

#include "tombola/core/context.hpp"
#include "tombola/gates/options.hpp"
#include "tombola/kernels/gate_update.hpp"

namespace tombola::inline TOMBOLA_ISA::gates {

/// The gates as the kernels take them.
template <class T>
kernels::GateInput<T> kernel_input(const GateParameter<T>& gate) {
  return {gate.size(), gate.theta.data(), gate.weight_data(), gate.sigma, gate.sigma_data(), gate.reach};
}

/// What the kernels need of a gate's pending gradient; with the penalty, or without.
template <class T>
kernels::GateGradient<T> gradient_parts(const GateParameter<T>& gate, bool with_penalty) {
  kernels::GateGradient<T> parts;
  parts.in = kernel_input(gate);
  if (gate.pending) {
    parts.dproduct = gate.dproduct.data();
    parts.open = gate.open.data();
    parts.slope = gate.slope.data();
    parts.dz_all = gate.dz_all;
    if (gate.dproduct_is_dz) parts.in.weight = nullptr;
  }
  if (with_penalty && gate.penalty_weight != T(0)) {
    parts.penalty = gate.penalty;
    parts.lambda = gate.penalty_weight * gate.cost;
  }
  return parts;
}

/// d loss / d sigma, one element per learned sigma: added to `into` or, the first time, written. With the penalty's part only
/// where the gates ask for it.
template <class T>
void add_sigma_gradient(const Threads& threads, GateParameter<T>& gate, bool with_penalty) {
  const auto parts = gradient_parts(gate, with_penalty);
  Tensor<T> each = Tensor<T>::uninitialized({gate.size()});
  kernels::gate_sigma_gradient(threads, kernels::GaussianGate<T>(gate.sharpness), gate.noise, parts,
                               with_penalty && gate.learned_sigma.through_penalty, each.data());
  auto& to = gate.sigma_gradient;
  if (to.size() == 0) to = Tensor<T>(gate.learned_sigma.log_sigma.shape());
  if (gate.sigma_mode == SigmaMode::layer) {
    double sum = 0;
    for (const T g : each) sum += static_cast<double>(g);
    to[0] += static_cast<T>(sum);
  } else {
    for (Index i = 0; i < each.size(); ++i) to[i] += each[i];
  }
}

/// Makes the pending gradient of the loss explicit: adds it to `gate.gradient` (and `gate.sigma_gradient`). Done before another
/// backward pass, before clipping, and by those who want to see it; costs a pass over memory that the optimiser's own way saves.
template <class T>
void make_explicit(const Threads& threads, GateParameter<T>& gate) {
  if (!gate.pending) return;
  const bool first = !gate.has_gradient;
  if (gate.gradient.size() != gate.size()) gate.gradient = Tensor<T>(gate.shape());
  if (gate.sigma_mode != SigmaMode::fixed) {
    if (first) gate.sigma_gradient = {};
    add_sigma_gradient(threads, gate, false);
  }
  Tensor<T> more = first ? std::move(gate.gradient) : Tensor<T>::uninitialized(gate.shape());
  const auto parts = gradient_parts(gate, false);
  with_formulas<T>(gate, [&](auto formulas) { kernels::gate_gradient(threads, formulas, parts, more.data()); });
  if (first) {
    gate.gradient = std::move(more);
  } else {
    for (Index i = 0; i < gate.size(); ++i) gate.gradient[i] += more[i];
  }
  gate.pending = false;
  gate.has_gradient = true;
  gate.dz_all = T(0);
}

/// d (loss + penalty) / d theta, all backward passes since the last step added up.
template <class T>
Tensor<T> gradient(Context& context, GateParameter<T>& gate) {
  make_explicit(context.threads(), gate);
  Tensor<T> total = Tensor<T>::uninitialized(gate.shape());
  const auto parts = gradient_parts(gate, true);  // nothing is pending: this is the penalty's part alone
  with_formulas<T>(gate, [&](auto formulas) { kernels::gate_gradient(context.threads(), formulas, parts, total.data()); });
  if (gate.has_gradient) {
    for (Index i = 0; i < gate.size(); ++i) total[i] += gate.gradient[i];
  }
  return total;
}

/// d (loss + penalty) / d log sigma = sigma d/d sigma, one element per learned sigma; the penalty's part only where the gates ask
/// for it. Throws `std::invalid_argument` if sigma is not learned.
template <class T>
Tensor<T> log_sigma_gradient(Context& context, GateParameter<T>& gate) {
  require(gate.sigma_mode != SigmaMode::fixed, gate.name, ": expected gates with a learned sigma");
  make_explicit(context.threads(), gate);
  Tensor<T> loss_part =
      gate.has_gradient ? gate.sigma_gradient.clone() : Tensor<T>(gate.learned_sigma.log_sigma.shape());
  std::swap(loss_part, gate.sigma_gradient);
  if (gate.learned_sigma.through_penalty) add_sigma_gradient(context.threads(), gate, true);
  std::swap(loss_part, gate.sigma_gradient);
  for (Index i = 0; i < loss_part.size(); ++i) loss_part[i] *= std::exp(gate.learned_sigma.log_sigma[i]);
  return loss_part;
}

}  // namespace tombola::inline TOMBOLA_ISA::gates
