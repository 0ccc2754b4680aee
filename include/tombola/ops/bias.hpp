/// \file
/// A vector added to every row.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/elementwise.hpp"
#include "tombola/kernels/reduce.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y[r, c] = x[r, c] + b[c].  x [..., columns], b [columns].
/// dx += dy,  db[c] += sum_r dy[r, c]. Throws `std::invalid_argument` if the shapes do not fit, or for values of two passes.
template <class T>
Var<T> add_bias(const Var<T>& x, const Var<T>& b) {
  require_one_pass("add_bias", x, b);
  require(x.shape().rank() >= 1 && b.shape() == Shape{x.shape().last()},
          "add_bias: expected x [..., columns] and b [columns], got ", x.shape(), " and ", b.shape());
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result(x.shape(), x.needs_gradient() || b.needs_gradient());
  kernels::map_columns(
      pass.threads(), x.shape().rows(), x.shape().last(), [](const auto& u, const auto& v) { return u + v; },
      y.node()->output(), x.value().data(), b.value().data());
  pass.backward_step(y, [x = x.node(), b = b.node(), y = y.node()](Pass<T>& pass) {
    constexpr auto same = [](const auto& dy) { return dy; };
    if (x->needs_gradient) {
      const auto dx = pass.accumulate(*x);
      kernels::map_accumulate(pass.threads(), x->size(), same, dx.beta, dx.into.data(), y->gradient.data());
    }
    if (b->needs_gradient) {
      const auto db = pass.accumulate(*b);
      kernels::reduce_rows(pass.threads(), pass.context().workspace(), x->shape().rows(), x->shape().last(), same, db.beta, db.into.data(),
                           y->gradient.data());
    }
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
