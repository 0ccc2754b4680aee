/// \file
/// UnitGates: structured gates, one per neuron, input, channel or head.
#pragma once

#include <cmath>
#include <string>
#include <tuple>
#include <utility>

#include "tombola/nn/init.hpp"
#include "tombola/nn/members.hpp"
#include "tombola/ops/repeat.hpp"
#include "tombola/ops/scale.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// y = z x for gates z [units] over the last axis of x [..., units size], each over `size` neighbours, and the rescaling factor
/// sqrt(units / sum z) where asked for.
template <class T = float>
struct UnitGates {
  std::string name;
  Index size;  ///< elements of a unit, such as those of a head
  GateParameter<T> gate;
  Rescale rescale;

  /// `cost`: what one gate counts in the penalty, such as the number of weights that it removes.
  /// Throws `std::invalid_argument` if it is negative or not finite, and as `gates::make_gates` does.
  UnitGates(Init& init, std::string units_name, Index units, double cost = 1, Index unit_size = 1)
      : name(std::move(units_name)),
        size(unit_size),
        gate(gates::make_gates<T>(init.gates, name, init.seed, init.next++, {units})),
        rescale(init.rescale == Rescale::none ? Rescale::none : Rescale::layer) {
    require(cost >= 0 && std::isfinite(static_cast<T>(cost)), name, ": expected a finite cost of at least 0, got ", cost);
    gate.cost = static_cast<T>(cost);
  }

  /// x [..., units size] -> y of the same shape. Throws `std::invalid_argument` for another x.
  Var<T> operator()(const Var<T>& x) {
    require(x.shape().rank() >= 1 && x.shape().last() == gate.size() * size, name, ": expected x [..., ", gate.size() * size,
            "], got ", x.shape());
    const auto [z, s] = gated_weight(x.pass(), gate, rescale);
    const Var<T> factors = s ? scale(z, s) : z;
    return scale(x, size == 1 ? factors : repeat_each(factors, size));
  }
  auto members() { return std::tie(gate); }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
