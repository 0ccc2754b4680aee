/// \file
/// Rectified linear unit.
#pragma once

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
struct Relu {
  template <class V>
  V value(const V& x) const noexcept {
    return simd::select(x < V(0), V(0), x);  // in this order NaN stays NaN
  }
  template <class V>
  V slope(const V& x, const V&) const noexcept {
    return simd::select(x > V(0), V(1), V(0));
  }
};
}  // namespace detail

/// y = max(x, 0), elementwise.  dx += dy 1{x > 0}: the slope at 0 is 0.
template <class T>
Var<T> relu(const Var<T>& x) {
  return unary(x, detail::Relu{});
}

}  // namespace tombola::inline TOMBOLA_ISA
