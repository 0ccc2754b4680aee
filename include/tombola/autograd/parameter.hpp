/// \file
/// Parameter: a trained weight and its gradient.
#pragma once

#include <string>

#include "tombola/autograd/pass.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// A weight that an optimiser changes. Gradients of several backward passes add up until `clear_gradient`.
template <class T>
struct Parameter {
  Tensor<T> value;
  Tensor<T> gradient;  ///< d loss / d value where `has_gradient`
  Tensor<T> momentum;  ///< of the optimiser; empty until its first step
  bool has_gradient = false;
  std::string name;

  explicit Parameter(Tensor<T> initial, std::string its_name = {})
      : value(std::move(initial)), gradient(value.shape()), name(std::move(its_name)) {}
  const Shape& shape() const noexcept { return value.shape(); }
  void clear_gradient() noexcept { has_gradient = false; }
};

/// The parameter's value in a pass, the same Var for every use. Borrows the parameter as long as the pass; its gradient goes
/// to `parameter.gradient`.
template <class T>
Var<T> parameter_value(Pass<T>& pass, Parameter<T>& parameter) {
  if (Var<T> known = pass.shared(&parameter)) return known;
  Var<T> value = pass.alias(parameter.value, true);
  pass.gradient_into(value, parameter.gradient, &parameter.has_gradient);
  pass.backward_step(value, [to = &parameter](Pass<T>&) { to->has_gradient = true; });
  pass.share(&parameter, value);
  return value;
}

}  // namespace tombola::inline TOMBOLA_ISA
