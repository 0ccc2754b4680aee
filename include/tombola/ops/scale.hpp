/// \file
/// Every row multiplied by a vector, or everything by one number, both with a gradient.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/elementwise.hpp"
#include "tombola/kernels/reduce.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// out[r, c] = s[c] v[r, c], or s[0] v[r, c], for v with the shape of x.
template <class T>
[[gnu::noinline]] void multiply_by(const Threads& threads, const Node<T>& x, const T* v, const Node<T>& s, T* out) noexcept {
  if (s.size() == 1) {
    kernels::map(
        threads, x.size(), [factor = s.value[0]](const auto& u) { return u * factor; }, out, v);
  } else {
    kernels::map_columns(
        threads, x.shape().rows(), x.shape().last(), [](const auto& u, const auto& f) { return u * f; }, out, v, s.value.data());
  }
}

}  // namespace detail

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
  const bool single = s.shape().size() == 1;
  detail::multiply_by(pass.threads(), *x.node(), x.value().data(), *s.node(), y.node()->output());
  pass.backward_step(y, [single, x = x.node(), s = s.node(), y = y.node()](Pass<T>& pass) {
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
      const bool first = dx.beta == T(0);
      Tensor<T> part = first ? Tensor<T>() : pass.buffer(x->shape());
      detail::multiply_by(pass.threads(), *x, dy, *s, first ? dx.into.data() : part.data());
      if (!first) {
        kernels::map(
            pass.threads(), x->size(), [](const auto& old, const auto& v) { return old + v; }, dx.into.data(), dx.into.data(), part.data());
      }
    }
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
