/// \file
/// Softsign.
#pragma once

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
struct Softsign {
  template <class V>
  V value(const V& x) const noexcept {
    return x / (V(1) + simd::abs(x));
  }
  template <class V>
  V slope(const V& x, const V&) const noexcept {
    const V d = V(1) + simd::abs(x);
    return V(1) / (d * d);
  }
};
}  // namespace detail

/// y = x / (1 + |x|), elementwise.  dx += dy / (1 + |x|)^2.
template <class T>
Var<T> softsign(const Var<T>& x) {
  return unary(x, detail::Softsign{});
}

}  // namespace tombola::inline TOMBOLA_ISA
