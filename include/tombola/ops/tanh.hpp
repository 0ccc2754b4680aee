/// \file
/// Hyperbolic tangent.
#pragma once

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
struct Tanh {
  template <class V>
  V value(const V& x) const noexcept {
    return simd::tanh(x);
  }
  template <class V>
  V slope(const V&, const V& y) const noexcept {
    return V(1) - y * y;
  }
};
}  // namespace detail

/// y = tanh(x), elementwise.  dx += dy (1 - y^2).
template <class T>
Var<T> tanh(const Var<T>& x) {
  return unary(x, detail::Tanh{});
}

}  // namespace tombola::inline TOMBOLA_ISA
