/// \file
/// The penalty on gates as a term of the loss.
#pragma once

#include <span>
#include <vector>

#include "tombola/gates/gradient.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y = lambda sum_gates cost penalty(theta), y [], over all gates of all layers given. dtheta += dy lambda cost dpenalty/dtheta, which
/// the optimiser adds in its own pass. The paper's lambda (a sum); for the mean over N gates, give lambda / N.
/// Throws `std::invalid_argument` if lambda is not finite (a negative one opens gates), and on a tape that does not sample gates, where nothing but
/// the penalty would move them; the backward pass throws `std::logic_error`, and changes nothing, if another kind
/// of penalty waits for the optimiser from an earlier pass, and half way through for two kinds in this one. Source: arXiv 2603.08914.
template <class T>
Var<T> gate_penalty(Pass<T>& pass, std::type_identity_t<std::span<GateParameter<T>* const>> layers, Penalty penalty,
                    std::type_identity_t<T> lambda) {
  require(std::isfinite(lambda), "gate_penalty: expected a finite lambda, got ", lambda);
  require(!pass.records() || pass.reading() == Reading::sampled, "gate_penalty: expected a tape that samples gates: read otherwise, they get no gradient");
  Var<T> y = pass.result({}, true);
  double total = 0;
  for (GateParameter<T>* gate : layers) {
    std::vector<double> sums(static_cast<std::size_t>(kernels::gate_chunks(gate->size())));
    const kernels::GateInput<T> input = gates::kernel_input(*gate);
    gates::with_formulas<T>(*gate, [&](auto formulas) { kernels::gate_penalty(pass.threads(), formulas, penalty, input, sums.data()); });
    for (const double sum : sums) total += sum * static_cast<double>(gate->cost);
  }
  y.node()->output()[0] = lambda * static_cast<T>(total);
  for (GateParameter<T>* gate : layers) {
    const auto require_kind = [gate, penalty](Pass<T>&) {
      if (gate->penalty_weight != T(0) && gate->penalty != penalty)
        throw std::logic_error(concat("gate_penalty: ", gate->name, ": expected one kind of penalty between two steps"));
    };
    pass.backward_check(require_kind);  // of earlier passes: then nothing has changed yet
    pass.backward_step(y, [require_kind, gate, penalty, lambda, y = y.node()](Pass<T>& pass) {
      require_kind(pass);  // of this one
      gate->penalty = penalty;
      gate->penalty_weight += lambda * y->gradient[0];
    });
  }
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
