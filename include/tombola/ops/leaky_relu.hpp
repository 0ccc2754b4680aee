/// \file
/// Leaky rectified linear unit.
#pragma once

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
template <class T>
struct LeakyRelu {
  T negative_slope;
  template <class V>
  V value(const V& x) const noexcept {
    return simd::select(x < V(0), x * V(negative_slope), x);
  }
  template <class V>
  V slope(const V& x, const V&) const noexcept {
    return simd::select(x > V(0), V(1), V(negative_slope));
  }
};
}  // namespace detail

/// y = x where x >= 0, else a x, elementwise.  dx += dy (1 or a); the slope at 0 is a.
/// Source: Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.
template <class T>
Var<T> leaky_relu(const Var<T>& x, std::type_identity_t<T> a = T(0.01)) {
  return unary(x, detail::LeakyRelu<T>{a});
}

}  // namespace tombola::inline TOMBOLA_ISA
