/// \file
/// The same elements under another shape.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y = x under another shape with as many elements; a copy where no tape holds x.  dx += dy. Throws `std::invalid_argument` if the number of
/// elements differs.
template <class T>
Var<T> reshape(const Var<T>& x, const Shape& shape) {
  Pass<T>& pass = x.pass();
  if (!pass.records()) return pass.input(Tensor<T>::copy_of(x.value().reshape(shape)));  // x may be dropped before y
  Var<T> y = pass.alias(x.value().reshape(shape), x.needs_gradient(), x.node());
  pass.backward_step(y, [x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    kernels::map_accumulate(
        pass.threads(), x->size(), [](const auto& dy) { return dy; }, dx.beta, dx.into.data(), y->gradient.data());
  });
  return y;
}

/// x [batch, ...] as [batch, everything else]; an empty batch as [0, 0]. Throws `std::invalid_argument` if x is a scalar.
template <class T>
Var<T> flatten(const Var<T>& x) {
  require(x.shape().rank() > 0, "flatten: expected at least one axis, got ", x.shape());
  const Index batch = x.shape()[0];
  return reshape(x, {batch, batch == 0 ? 0 : x.shape().size() / batch});
}

}  // namespace tombola::inline TOMBOLA_ISA
