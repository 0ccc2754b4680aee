/// \file
/// What all ops of one input and an elementwise formula share.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// y_i = formula.value(x_i), into y's output.
template <class T, class Formula>
void apply(Pass<T>& pass, const Formula& formula, const Node<T>& x, Node<T>& y) {
  kernels::map(
      pass.threads(), x.size(), [formula](const auto& v) { return formula.value(v); }, y.output(), x.value.data());
}

}  // namespace detail

/// y_i = formula.value(x_i); dx_i += dy_i formula.slope(x_i, y_i). The formula works on registers of any type.
/// Throws `std::invalid_argument` for an empty Var.
template <class T, class Formula>
Var<T> unary(const Var<T>& x, const Formula& formula) {
  require(bool(x), "expected a value, got an empty Var");
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result(x.shape(), x.needs_gradient());
  detail::apply(pass, formula, *x.node(), *y.node());
  pass.backward_step(y, [formula, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    kernels::map_accumulate(
        pass.threads(), x->size(),
        [formula](const auto& dy, const auto& v, const auto& w) { return dy * formula.slope(v, w); }, dx.beta,
        dx.into.data(), y->gradient.data(), x->value.data(), y->value.data());
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
