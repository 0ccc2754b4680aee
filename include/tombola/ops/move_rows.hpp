/// \file
/// Rows in other places: what windows, patches and tokens are made by.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/rows.hpp"

namespace tombola::inline TOMBOLA_ISA::detail {

/// y's row r is x's row places.source(r), and x's row s is at y's row places.target(s); -1: none.
template <class T, class Places>
Var<T> move_rows(const Var<T>& x, const Shape& shape, const Places& places) {
  Pass<T>& pass = x.pass();
  const Index columns = places.columns();
  const auto rows = [columns](Index size) { return columns == 0 ? 0 : size / columns; };
  Var<T> y = pass.result(shape, x.needs_gradient());
  kernels::gather_rows(pass.threads(), rows(shape.size()), columns, [places](Index r) { return places.source(r); }, x.value().data(), false,
                       y.node()->output());
  pass.backward_step(y, [places, columns, rows, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    kernels::gather_rows(pass.threads(), rows(x->size()), columns, [places](Index r) { return places.target(r); }, y->gradient.data(),
                         dx.beta != T(0), dx.into.data());
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA::detail
