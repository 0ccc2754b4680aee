/// \file
/// UnitGates: structured gates, one per neuron or input.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "tombola/nn/init.hpp"
#include "tombola/nn/members.hpp"
#include "tombola/ops/scale.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// y = z x for gates z [units] over the last axis of x [..., units], and the rescaling factor sqrt(units / sum z) where asked for.
template <class T = float>
struct UnitGates {
  std::string name;
  GateParameter<T> gate;
  Rescale rescale;

  /// `cost`: what one gate counts in the penalty, such as the number of weights that it removes.
  UnitGates(Init& init, std::string units_name, Index units, double cost = 1)
      : name(std::move(units_name)),
        gate(gates::make_gates<T>(init.gates, name, init.seed, init.next++, {units})),
        rescale(init.rescale == Rescale::none ? Rescale::none : Rescale::layer) {
    gate.cost = static_cast<T>(cost);
  }

  /// x [..., units] -> y of the same shape. Throws `std::invalid_argument` for another x.
  Var<T> operator()(const Var<T>& x) {
    require(x.shape().rank() >= 1 && x.shape().last() == gate.size(), name, ": expected x [..., ", gate.size(),
            "], got ", x.shape());
    const auto [z, s] = gated_weight(x.pass(), gate, rescale);
    return scale(x, s ? scale(z, s) : z);
  }
  auto members() { return std::tie(gate); }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
