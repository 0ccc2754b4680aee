/// \file
/// Softmax over the last axis.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/softmax.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y[r, c] = exp(x[r, c]) / sum_j exp(x[r, j]).  x, y [..., columns].
/// dx[r, c] += y[r, c] (dy[r, c] - sum_j y[r, j] dy[r, j]). Throws `std::invalid_argument` if there are no columns.
template <class T>
Var<T> softmax(const Var<T>& x) {
  const Index rows = x.shape().rows(), columns = x.shape().last();
  require(x.shape().rank() >= 1 && columns > 0, "softmax: expected x [..., columns] with columns, got ", x.shape());
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result(x.shape(), x.needs_gradient());
  kernels::softmax(pass.threads(), rows, columns, x.value().data(), y.node()->output());
  pass.backward_step(y, [rows, columns, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    kernels::softmax_backward(pass.threads(), rows, columns, y->value.data(), y->gradient.data(), dx.beta,
                              dx.into.data());
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
