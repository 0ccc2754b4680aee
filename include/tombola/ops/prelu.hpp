/// \file
/// Parametric rectified linear unit: the slope on the negative side is frozen, or learned.
#pragma once

#include "tombola/kernels/reduce.hpp"
#include "tombola/ops/leaky_relu.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y = x where x >= 0, else a x, with a frozen slope a.  dx += dy (1 or a); the slope at 0 is a.
/// Source: He et al., "Delving deep into rectifiers", ICCV 2015.
template <class T>
Var<T> prelu(const Var<T>& x, std::type_identity_t<T> a = T(0.25)) {
  return leaky_relu(x, a);
}

/// The same with a learned slope.  a [1].  da += sum_i dy_i x_i 1{x_i < 0}. Throws `std::invalid_argument` if a has another
/// shape, or for values of two passes.
template <class T>
Var<T> prelu(const Var<T>& x, const Var<T>& a) {
  require_one_pass("prelu", x, a);
  require(a.shape() == Shape{1}, "prelu: expected a slope [1], got ", a.shape());
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result(x.shape(), x.needs_gradient() || a.needs_gradient());
  const detail::LeakyRelu<T> formula{a.value()[0]};
  kernels::map(
      pass.threads(), x.shape().size(), [formula](const auto& v) { return formula.value(v); }, y.node()->output(),
      x.value().data());
  pass.backward_step(y, [formula, x = x.node(), a = a.node(), y = y.node()](Pass<T>& pass) {
    if (x->needs_gradient) {
      const auto dx = pass.accumulate(*x);
      kernels::map_accumulate(
          pass.threads(), x->size(), [formula](const auto& dy, const auto& v) { return dy * formula.slope(v, v); },
          dx.beta, dx.into.data(), y->gradient.data(), x->value.data());
    }
    if (a->needs_gradient) {
      const auto da = pass.accumulate(*a);
      const double sum = kernels::reduce<T>(
          pass.threads(), pass.context().workspace(), x->size(),
          [](const auto& dy, const auto& v) { return simd::select(v < T(0), dy * v, simd::select(v >= T(0), decltype(v * dy)(T(0)), v)); }, y->gradient.data(),
          x->value.data());
      da.into[0] = static_cast<T>(sum) + (da.beta == T(0) ? T(0) : da.into[0]);
    }
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
