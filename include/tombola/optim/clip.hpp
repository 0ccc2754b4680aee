/// \file
/// Clipping gradients by their norm, between the backward pass and the optimiser's step.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "tombola/autograd/parameter.hpp"
#include "tombola/gates/gradient.hpp"
#include "tombola/kernels/reduce.hpp"

namespace tombola::inline TOMBOLA_ISA::optim {

namespace detail {

/// Calls f(name, gradient) for the explicit gradients of the loss to all of these that have one.
template <class T, class F>
void for_each_gradient(Context& context, const std::vector<GateParameter<T>*>& gates, const std::vector<Parameter<T>*>& parameters, const F& f) {
  for (GateParameter<T>* gate : gates) {
    gates::make_explicit(context.threads(), *gate);
    if (!gate->has_gradient) continue;
    f(gate->name, gate->gradient.view());
    if (gate->sigma_mode != SigmaMode::fixed) f(gate->name, gate->sigma_gradient.view());
  }
  for (Parameter<T>* parameter : parameters) {
    if (parameter->has_gradient) f(parameter->name, parameter->gradient.view());
  }
}

}  // namespace detail

/// Scales the gradients of the loss, of gates and of trained weights together, so that their Euclidean norm is at most `largest`;
/// returns the norm before. The penalty's part is left alone: it is bounded, whatever the batch.
///
///     tape.backward(loss);
///     optim::clip_gradients<float>(context, nn::gates(model), {}, 1);
///     adam.step();
///
/// Throws `std::invalid_argument` unless largest > 0, `std::runtime_error` for a gradient the sum of whose squares is not finite.
/// Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1.
template <class T>
double clip_gradients(Context& context, const std::vector<GateParameter<T>*>& gates, const std::vector<Parameter<T>*>& parameters, double largest) {
  require(largest > 0, "clip_gradients: expected a largest norm above 0, got ", largest);
  double squares = 0;
  detail::for_each_gradient(context, gates, parameters, [&](const std::string& name, View<T> g) {
    const double more =
        kernels::reduce<T>(context.threads(), context.workspace(), g.size(), [](const auto& v) { return v * v; }, g.data());
    if (!std::isfinite(more)) throw std::runtime_error(concat("clip_gradients: expected a gradient of finite norm for ", name, ", got ", std::sqrt(more)));
    squares += more;
  });
  const double norm = std::sqrt(squares);
  if (norm <= largest) return norm;
  const T factor = static_cast<T>(largest / norm);
  detail::for_each_gradient(context, gates, parameters, [&](const std::string&, View<T> g) {
    kernels::map(context.threads(), g.size(), [factor](const auto& v) { return v * factor; }, g.data(), static_cast<const T*>(g.data()));
  });
  return norm;
}

}  // namespace tombola::inline TOMBOLA_ISA::optim
