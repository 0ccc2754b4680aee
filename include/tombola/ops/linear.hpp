/// \file
/// The product with a weight matrix.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/gemm.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y = x w^T.  x [..., in], w [out, in], y [..., out].
/// dx += dy w,  dw += dy^T x. Throws `std::invalid_argument` if the shapes do not fit, or for values of two passes.
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& w) {
  require_one_pass("linear", x, w);
  const Shape &xs = x.shape(), &ws = w.shape();
  require(xs.rank() >= 1 && ws.rank() == 2 && xs.last() == ws[1], "linear: expected x [..., in] and w [out, in], got ",
          xs, " and ", ws);
  Pass<T>& pass = x.pass();
  Index extents[Shape::max_rank];
  std::copy(xs.begin(), xs.end(), extents);
  extents[xs.rank() - 1] = ws[0];
  Var<T> y = pass.result(Shape(extents, xs.rank()), x.needs_gradient() || w.needs_gradient());

  using kernels::gemm, kernels::matrix;
  gemm(pass.threads(), pass.context().workspace(), matrix(x.value()), matrix(w.value()).transposed(), T(0),
       matrix(y.node()->storage.view()));
  pass.backward_step(y, [x = x.node(), w = w.node(), y = y.node()](Pass<T>& pass) {
    const auto dy = matrix(View<const T>(y->gradient));
    auto& scratch = pass.context().workspace();
    if (x->needs_gradient) {
      const auto dx = pass.accumulate(*x);
      gemm(pass.threads(), scratch, dy, matrix(w->value), dx.beta, matrix(dx.into));
    }
    if (w->needs_gradient) {
      const auto dw = pass.accumulate(*w);
      gemm(pass.threads(), scratch, dy.transposed(), matrix(x->value), dw.beta, matrix(dw.into));
    }
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
