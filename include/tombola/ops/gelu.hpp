/// \file
/// Gaussian error linear unit, in the exact form and in the one with tanh.
#pragma once

#include <numbers>

#include "tombola/kernels/standard_normal.hpp"
#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
struct Gelu {
  template <class V>
  V value(const V& x) const noexcept {
    return x * kernels::normal_distribution(x);
  }
  template <class V>
  V slope(const V& x, const V&) const noexcept {
    const kernels::StandardNormal<V> at(x);
    return simd::fma(at.near, at.density, at.distribution);
  }
};

/// (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)) keeps its digits where it is near 0. From 25 on both are 0 or 1, and u^2 finite.
struct GeluTanh {
  template <class V>
  V value(const V& x) const noexcept {
    return x * gate(bounded(x));
  }
  template <class V>
  V slope(const V& x, const V&) const noexcept {
    using T = typename V::value_type;
    const V near = bounded(x), open = gate(near);
    const V twice_du = simd::fma(near * near, V(T(3) * cubic<T>), V(linear<T>));
    return simd::fma(near * twice_du, open * (V(T(1)) - open), open);
  }

 private:
  template <class T>
  static constexpr T linear = T(2) * std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;  // of 2 u = linear x + cubic x^3
  template <class T>
  static constexpr T cubic = T(0.044715) * linear<T>;

  template <class V>
  static V bounded(const V& x) noexcept {
    using T = typename V::value_type;
    return simd::clamp(x, T(-25), T(25));
  }
  template <class V>
  static V gate(const V& x) noexcept {
    using T = typename V::value_type;
    return simd::divide(V(T(1)), V(T(1)) + simd::exp(x * simd::fma(x * x, V(-cubic<T>), V(-linear<T>))));
  }
};

/// Not kept for backward but computed again: behind it stand the widest values of a transformer.
template <class T, class Formula>
Var<T> restored_unary(const Var<T>& x, const Formula& formula) {
  const Var<T> y = unary(x, formula);
  x.pass().restore_step(y, {x}, [formula, x = x.node(), y = y.node()](Pass<T>& pass) { apply(pass, formula, *x, *y); });
  return y;
}

}  // namespace detail

/// y = x Phi(x), elementwise, Phi the standard normal distribution function.  dx += dy (Phi(x) + x phi(x)).
/// Source: Hendrycks, Gimpel, "Gaussian error linear units", 2016.
template <class T>
Var<T> gelu(const Var<T>& x) {
  return detail::restored_unary(x, detail::Gelu{});
}

/// y = x (1 + tanh(u)) / 2, elementwise, u = sqrt(2 / pi) (x + .044715 x^3): within 5e-4 of `gelu`, and what GPT-2 has.  dx += dy dy/dx.
/// Source: Hendrycks, Gimpel, "Gaussian error linear units", 2016.
template <class T>
Var<T> gelu_tanh(const Var<T>& x) {
  return detail::restored_unary(x, detail::GeluTanh{});
}

}  // namespace tombola::inline TOMBOLA_ISA
