/// \file
/// The standard normal density and distribution function on registers.
#pragma once

#include <numbers>
#include <type_traits>

#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// 1 / sqrt(2 pi)
template <class T>
inline constexpr T standard_normal_peak = T(0.5) * std::numbers::inv_sqrtpi_v<T> * std::numbers::sqrt2_v<T>;

/// phi(x) = exp(-x^2 / 2) / sqrt(2 pi) and Phi(x), its integral up to x: they share an exponential.
/// float: Phi within 3e-7, and of negative x within 1e-6 of the value where `simd::fma` rounds once; 0 below -13.2. double: Phi within 5e-15.
/// NaN stays NaN.
/// Phi(-t) = exp(-t^2 / 2) M(t) for t >= 0, and M(t) = u p(u) with u = 1 / (1 + .26 t): the form of Hastings, "Approximations for digital
/// computers", 1955, with a polynomial p of degree 8 about .625 whose largest relative error up to t = 13.3, 2e-8, is the least.
template <class V>
struct StandardNormal {
  V near;  ///< x, but for what lies so far out that its density is 0: their product is finite
  V density, distribution;

  explicit StandardNormal(const V& x) noexcept {
    using T = typename V::value_type;
    constexpr T bound = sizeof(T) == 4 ? T(14) : T(40);  // beyond it both are what they are there; and xsimd's erf of infinity is NaN
    near = simd::clamp(x, -bound, bound);
    const V square = near * near, power = simd::exp_nonpositive(square * V(T(-0.5)));
    density = power * V(standard_normal_peak<T>);
    if constexpr (std::is_same_v<T, float>) {
      const V u = simd::divide(V(1.0f), simd::fma(simd::abs(near), V(0.26f), V(1.0f))), s = u - V(0.625f);
      V p(0.030896096f);
      for (const float coefficient : {-0.00025976842f, -0.083595842f, -0.044481941f, 0.18274024f, 0.43845811f, 0.52785635f, 0.42284381f, 0.24101871f}) {
        p = simd::fma(p, s, V(coefficient));
      }
      const V lost = simd::fma(near, near, -square);  // what is rounded away of t^2 is much to exp(-t^2 / 2) where t is large
      const V tail = simd::fma(power * lost, V(-0.5f), power) * u * p;
      distribution = simd::select(x > V(0.0f), V(1.0f) - tail, tail);
    } else {
      distribution = V(T(0.5)) * (V(T(1)) + simd::erf(near * V(std::numbers::sqrt2_v<T> / T(2))));
    }
  }
};

/// phi(x) alone, the same bits, as gates need it in every step.
template <class V>
V normal_density(const V& x) noexcept {
  using T = typename V::value_type;
  return simd::exp_nonpositive(x * x * V(T(-0.5))) * V(standard_normal_peak<T>);
}
template <class V>
V normal_distribution(const V& x) noexcept {
  return StandardNormal<V>(x).distribution;
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
