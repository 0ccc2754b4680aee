/// \file
/// Exponential linear unit.
#pragma once

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
template <class T>
struct Elu {
  T alpha;
  template <class V>
  V value(const V& x) const noexcept {
    return simd::select(x < V(0), V(alpha) * (simd::exp(x) - V(1)), x);
  }
  template <class V>
  V slope(const V& x, const V& y) const noexcept {
    return simd::select(x > V(0), V(1), y + V(alpha));
  }
};
}  // namespace detail

/// y = x where x >= 0, else alpha (exp(x) - 1), elementwise.  dx += dy (1 or y + alpha); the slope at 0 is alpha.
/// Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by ELUs", ICLR 2016.
template <class T>
Var<T> elu(const Var<T>& x, std::type_identity_t<T> alpha = T(1)) {
  return unary(x, detail::Elu<T>{alpha});
}

}  // namespace tombola::inline TOMBOLA_ISA
