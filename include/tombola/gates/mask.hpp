/// \file
/// Masks read from gates and set on them, and how many are open.
#pragma once

#include <cmath>
#include <stdexcept>
#include <vector>

#include "tombola/core/bits.hpp"
#include "tombola/gates/gradient.hpp"

namespace tombola::inline TOMBOLA_ISA::gates {

/// Bit i: gate i is open under the reading (`above_zero` or `binary`).
/// Throws `std::invalid_argument` for another reading, and `std::runtime_error` for a parameter that is NaN: it would pass for a closed gate.
template <class T>
Bits mask(const GateParameter<T>& gate, Reading reading = Reading::binary) {
  require(reading == Reading::binary || reading == Reading::above_zero,
          "mask: expected the reading binary or above_zero");
  Bits bits(gate.size());
  Tensor<T> z = Tensor<T>::uninitialized(gate.shape());
  kernels::GateInput<T> input = kernel_input(gate);
  input.weight = nullptr;
  with_formulas<T>(gate, [&](auto formulas) {
    kernels::gate_read(1, formulas, reading, input,
                       kernels::GateOutput<T>{z.data(), nullptr, nullptr, nullptr, nullptr});
  });
  for (Index i = 0; i < gate.size(); ++i) {
    if (std::isnan(gate.theta[i])) throw std::runtime_error(concat(gate.name, ": expected parameters that are numbers, got nan for gate ", i));
    bits.set(i, z[i] != T(0));
  }
  return bits;
}

/// Sets gates so that every reading but `sampled` gives this mask: open gates relax to 1, closed ones to 0.
/// Throws `std::invalid_argument` if the sizes differ.
template <class T>
void set_mask(GateParameter<T>& gate, const Bits& open) {
  require(open.size() == gate.size(), gate.name, ": expected a mask of ", gate.size(), " gates, got ", open.size());
  const bool gaussian = gate.kind == GateKind::gaussian;
  for (Index i = 0; i < gate.size(); ++i) gate.theta[i] = open[i] ? T(gaussian ? 1 : 10) : T(gaussian ? 0 : -10);
}

/// The same number of open gates, in other places: a random order that the stream determines.
/// Throws `std::invalid_argument` for 2^32 gates and more.
inline Bits shuffled(const Bits& open, const Stream& stream) {
  Bits other(open.size());
  const auto order = permutation(stream, open.size());
  for (Index i = 0; i < open.size(); ++i) other.set(i, open[order[static_cast<std::size_t>(i)]]);
  return other;
}

/// How many gates are open under the reading (`above_zero` or `binary`), and how many are fractional when relaxed.
/// Throws `std::invalid_argument` for another reading.
template <class T>
kernels::GateCounts counts(const Threads& threads, const GateParameter<T>& gate, Reading reading = Reading::binary) {
  require(reading == Reading::binary || reading == Reading::above_zero,
          "counts: expected the reading binary or above_zero");
  return with_formulas<T>(gate, [&](auto formulas) {
    return kernels::gate_counts(threads, formulas, reading, gate.theta.data(), gate.size());
  });
}
/// The same over all gates of a model, as `nn::gates` finds them. Throws as it does.
template <class T>
kernels::GateCounts counts(const Threads& threads, const std::vector<GateParameter<T>*>& all, Reading reading = Reading::binary) {
  kernels::GateCounts total;
  for (const GateParameter<T>* gate : all) {
    const kernels::GateCounts its = counts(threads, *gate, reading);
    total.open += its.open;
    total.fractional += its.fractional;
  }
  return total;
}

/// The share of a model's gates that are closed under the reading `binary`; 0 where there are none. A parameter that is NaN counts as closed: `mask`
/// refuses it.
template <class T>
double sparsity(const Threads& threads, const std::vector<GateParameter<T>*>& all) {
  Index gates = 0;
  for (const GateParameter<T>* gate : all) gates += gate->size();
  return gates == 0 ? 0 : 1 - static_cast<double>(counts(threads, all).open) / static_cast<double>(gates);
}

}  // namespace tombola::inline TOMBOLA_ISA::gates
