/// \file
/// The product of two matrices.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/gemm.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y = a b.  a [m, k], b [k, n], y [m, n].
/// da += dy b^T,  db += a^T dy. Throws `std::invalid_argument` if the shapes do not fit, or for values of two passes.
template <class T>
Var<T> matmul(const Var<T>& a, const Var<T>& b) {
  require_one_pass("matmul", a, b);
  const Shape &as = a.shape(), &bs = b.shape();
  require(as.rank() == 2 && bs.rank() == 2 && as[1] == bs[0], "matmul: expected a [m, k] and b [k, n], got ", as,
          " and ", bs);
  Pass<T>& pass = a.pass();
  Var<T> y = pass.result({as[0], bs[1]}, a.needs_gradient() || b.needs_gradient());

  using kernels::gemm, kernels::matrix;
  gemm(pass.threads(), pass.context().workspace(), matrix(a.value()), matrix(b.value()), T(0),
       matrix(y.node()->storage.view()));
  pass.backward_step(y, [a = a.node(), b = b.node(), y = y.node()](Pass<T>& pass) {
    const auto dy = matrix(View<const T>(y->gradient));
    auto& scratch = pass.context().workspace();
    if (a->needs_gradient) {
      const auto da = pass.accumulate(*a);
      gemm(pass.threads(), scratch, dy, matrix(b->value).transposed(), da.beta, matrix(da.into));
    }
    if (b->needs_gradient) {
      const auto db = pass.accumulate(*b);
      gemm(pass.threads(), scratch, matrix(a->value).transposed(), dy, db.beta, matrix(db.into));
    }
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
