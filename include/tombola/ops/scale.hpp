/// \file
/// Every row multiplied by a vector, or everything by one number, both with a gradient.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/elementwise.hpp"
#include "tombola/kernels/reduce.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y[r, c] = s[c] x[r, c], or s[0] x[r, c].  x [..., columns], s [columns] or [1].
/// dx += s dy,  ds[c] += sum_r dy[r, c] x[r, c]. Throws `std::invalid_argument` if the shapes do not fit, or for values of two passes.
template <class T>
Var<T> scale(const Var<T>& x, const Var<T>& s) {
  require_one_pass("scale", x, s);
  const Index columns = x.shape().last();
  require(x.shape().rank() >= 1 && (s.shape() == Shape{columns} || s.shape() == Shape{1}),
          "scale: expected x [..., columns] and s [columns] or [1], got ", x.shape(), " and ", s.shape());
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result(x.shape(), x.needs_gradient() || s.needs_gradient());
  // One number for all is one column that everything stands in.
  const bool single = s.shape().size() == 1;
  const auto times = [&pass, rows = x.shape().rows(), size = x.shape().size(), columns,
                      single](const T* v, const T* factor, T* out) {
    if (single) {
      kernels::map(
          pass.threads(), size, [f = factor[0]](const auto& u) { return u * f; }, out, v);
    } else {
      kernels::map_columns(
          pass.threads(), rows, columns, [](const auto& u, const auto& f) { return u * f; }, out, v, factor);
    }
  };
  times(x.value().data(), s.value().data(), y.node()->output());
  pass.backward_step(y, [times, single, x = x.node(), s = s.node(), y = y.node()](Pass<T>& pass) {
    const T* dy = y->gradient.data();
    if (s->needs_gradient) {
      const auto ds = pass.accumulate(*s);
      constexpr auto product = [](const auto& u, const auto& v) { return u * v; };
      if (single) {
        const double sum =
            kernels::reduce<T>(pass.threads(), pass.context().workspace(), x->size(), product, dy, x->value.data());
        ds.into[0] = static_cast<T>(sum) + (ds.beta == T(0) ? T(0) : ds.into[0]);
      } else {
        kernels::reduce_rows(pass.threads(), pass.context().workspace(), x->shape().rows(), x->shape().last(), product, ds.beta, ds.into.data(), dy,
                             x->value.data());
      }
    }
    if (x->needs_gradient) {
      const auto dx = pass.accumulate(*x);
      if (dx.beta == T(0)) {
        times(dy, s->value.data(), dx.into.data());
      } else {
        const Tensor<T> part = pass.buffer(x->shape());
        times(dy, s->value.data(), const_cast<T*>(part.data()));
        kernels::map_accumulate(
            pass.threads(), x->size(), [](const auto& v) { return v; }, T(1), dx.into.data(), part.data());
      }
    }
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
