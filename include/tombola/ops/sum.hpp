/// \file
/// The sum and the mean of all elements.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/elementwise.hpp"
#include "tombola/kernels/reduce.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y = factor sum_i x_i, y [].  dx_i += factor dy.
template <class T>
Var<T> sum(const Var<T>& x, std::type_identity_t<T> factor = T(1)) {
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({}, x.needs_gradient());
  y.node()->output()[0] = factor * static_cast<T>(kernels::reduce<T>(
                                       pass.threads(), pass.context().workspace(), x.shape().size(),
                                       [](const auto& v) { return v; }, x.value().data()));
  pass.backward_step(y, [factor, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    const T dy = factor * y->gradient[0];
    kernels::map_accumulate(
        pass.threads(), x->size(), [dy](const auto& v) { return std::decay_t<decltype(v)>(dy); }, dx.beta,
        dx.into.data(), x->value.data());
  });
  return y;
}

/// y = 1/n sum_i x_i, y [].  dx_i += dy / n. Throws `std::invalid_argument` if x has no elements.
template <class T>
Var<T> mean(const Var<T>& x) {
  require(x.shape().size() > 0, "mean: expected at least one element, got ", x.shape());
  return sum(x, T(1) / static_cast<T>(x.shape().size()));
}

}  // namespace tombola::inline TOMBOLA_ISA
