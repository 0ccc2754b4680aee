/// \file
/// Every element several times in a row.
#pragma once

#include "tombola/autograd/pass.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y[i times + j] = x[i] for j in [0, times).  x [columns] -> y [columns times].  dx[i] += sum_j dy[i times + j].
/// Throws `std::invalid_argument` for another rank or unless times is at least 1.
template <class T>
Var<T> repeat_each(const Var<T>& x, Index times) {
  require(x.shape().rank() == 1 && times >= 1, "repeat_each: expected x [columns] and at least one time, got ", x.shape(), " and ", times);
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({Shape{x.shape().size(), times}.size()}, x.needs_gradient());
  for (Index i = 0; i < x.shape().size(); ++i) std::fill_n(y.node()->output() + i * times, times, x.value()[i]);
  pass.backward_step(y, [times, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    for (Index i = 0; i < x->size(); ++i) {
      T sum = dx.beta == T(0) ? T(0) : dx.into[i];
      for (Index j = 0; j < times; ++j) sum += y->gradient[i * times + j];
      dx.into[i] = sum;
    }
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
