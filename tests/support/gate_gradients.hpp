/// \file
/// The gradients of gates against differences of the loss, for the same noise.
#pragma once

#include <functional>
#include <vector>

#include "support/gates.hpp"
#include "support/worst.hpp"
#include "tombola/autograd/check_gradient.hpp"
#include "tombola/gates/gradient.hpp"
#include "tombola/ops/gate_penalty.hpp"

namespace test_support {

using tombola::Context, tombola::Inference, tombola::Pass, tombola::Tape, tombola::Var;

/// A loss of one value, as a function of gates, in any pass; it must not depend on anything else that changes.
using GateLoss = std::function<Var<double>(Pass<double>&)>;

/// The loss in each of the passes, added up: what several backward passes before a step descend on.
inline double total_loss(Context& context, const GateLoss& loss, const std::vector<PassOptions>& passes) {
  double sum = 0;
  for (const PassOptions& options : passes) {
    Inference<double> pass(context, options);
    sum += loss(pass).item();
  }
  return sum;
}

inline void backward_passes(Context& context, const GateLoss& loss, const std::vector<PassOptions>& passes) {
  for (const PassOptions& options : passes) {
    Tape<double> tape(context, options);
    tape.backward(loss(tape));
  }
}

/// The largest difference between the gradients by theta that backward leaves and differences, over all gates, relative to the
/// largest element. Leaves no gradient behind.
inline double theta_difference(Context& context, const std::vector<GateParameter<double>*>& gates, const GateLoss& loss,
                               const std::vector<PassOptions>& passes) {
  backward_passes(context, loss, passes);
  double worst = 0;
  for (GateParameter<double>* gate : gates) {
    const Tensor<double> got = tombola::gates::gradient(context, *gate);
    gate->clear_gradient();
    const Tensor<double> expected =
        tombola::numeric_gradient(gate->theta, [&] { return total_loss(context, loss, passes); });
    const double difference = tombola::largest_difference(got, expected);
    tombola::test::widen(worst, difference);
  }
  return worst;
}

/// The same by log sigma.
inline double sigma_difference(Context& context, GateParameter<double>& gate, const GateLoss& loss,
                               const std::vector<PassOptions>& passes) {
  backward_passes(context, loss, passes);
  const Tensor<double> got = tombola::gates::log_sigma_gradient(context, gate);
  gate.clear_gradient();
  const Tensor<double> expected = tombola::numeric_gradient(gate.learned_sigma.log_sigma, [&] {
    gate.update_sigma();
    return total_loss(context, loss, passes);
  });
  gate.update_sigma();
  const double difference = tombola::largest_difference(got, expected);
  return std::isnan(difference) ? INFINITY : difference;
}

}  // namespace test_support
