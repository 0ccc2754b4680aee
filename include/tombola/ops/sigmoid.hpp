/// \file
/// Logistic function.
#pragma once

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
struct Sigmoid {
  template <class V>
  V value(const V& x) const noexcept {
    return simd::sigmoid(x);
  }
  template <class V>
  V slope(const V&, const V& y) const noexcept {
    return y * (V(1) - y);
  }
};
}  // namespace detail

/// y = 1 / (1 + exp(-x)), elementwise.  dx += dy y (1 - y).
template <class T>
Var<T> sigmoid(const Var<T>& x) {
  return unary(x, detail::Sigmoid{});
}

}  // namespace tombola::inline TOMBOLA_ISA
