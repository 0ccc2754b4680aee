/// \file
/// Gaussian error linear unit, in the exact form.
#pragma once

#include <numbers>

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
struct Gelu {
  template <class V>
  V value(const V& x) const noexcept {
    return x * distribution(x);
  }
  template <class V>
  V slope(const V& x, const V&) const noexcept {
    using T = typename V::value_type;
    const V density = simd::exp(x * x * V(T(-0.5))) * V(std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>);
    return simd::fma(x, density, distribution(x));
  }
  template <class V>
  static V distribution(const V& x) noexcept {
    using T = typename V::value_type;
    return V(T(0.5)) * (V(T(1)) + simd::erf(x * V(T(1) / std::numbers::sqrt2_v<T>)));
  }
};
}  // namespace detail

/// y = x Phi(x), elementwise, Phi the standard normal distribution function.  dx += dy (Phi(x) + x phi(x)).
/// Source: Hendrycks, Gimpel, "Gaussian error linear units", 2016.
/// Not kept for backward but computed again: behind it stand the widest values of a transformer.
template <class T>
Var<T> gelu(const Var<T>& x) {
  const Var<T> y = unary(x, detail::Gelu{});
  x.pass().restore_step(y, x, [x = x.node(), y = y.node()](Pass<T>& pass) { detail::apply(pass, detail::Gelu{}, *x, *y); });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
