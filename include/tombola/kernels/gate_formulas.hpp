/// \file
/// The formulas of stochastic gates, written once for registers of any type: how a gate is drawn, what its test-time value
/// is, and its penalties. theta is the learned parameter of a gate: mu (Gaussian) or log alpha (hard-concrete).
#pragma once

#include <cmath>
#include <numbers>

#include "tombola/core/gate.hpp"
#include "tombola/kernels/noise.hpp"
#include "tombola/kernels/standard_normal.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

/// The draw above which a gate of this sharpness is open: z = clamp((draw - 1/2) sharpness + 1/2, 0, 1) is above 0 from here on, and 1 from
/// 1 - edge on. Penalties are those of what is drawn; at sharpness 1 the edge is 0.
template <class T>
T edge_of(T sharpness) noexcept {
  return (T(1) - T(1) / sharpness) / T(2);
}

/// The value of `variance` or `entropy` at p, and its derivative by p. p is kept off 0 and 1, where the entropy's
/// derivative has no bound (the density that it is multiplied with vanishes faster).
template <class V>
struct Decision {
  V value, slope;
  Decision(Penalty penalty, const V& probability) noexcept {
    using T = typename V::value_type;
    constexpr T least = sizeof(T) == 4 ? T(1e-7) : T(1e-15);
    const V one(T(1));
    const V p = simd::clamp(probability, least, T(1) - least), q = one - p;
    if (penalty == Penalty::variance) {
      value = V(T(4)) * p * q;
      slope = V(T(4)) * (q - p);
    } else {
      const V log_p = simd::log(p), log_q = simd::log(q), per_bit(T(1) / std::numbers::ln2_v<T>);
      value = -(p * log_p + q * log_q) * per_bit;
      slope = (log_q - log_p) * per_bit;
    }
  }
};

}  // namespace detail

/// z = clamp(mu + sigma n, 0, 1), n ~ N(0, 1).  dz/dmu = 1{0 < z < 1}, dz/dsigma = n 1{0 < z < 1} (before the clamp, and within the
/// gates' reach if they have one).
/// Source: Yamada et al., "Feature selection using stochastic gates", ICML 2020.
template <class T>
struct GaussianGate {
  using Noise = NormalNoise;
  static constexpr bool unit_slope = true;  ///< dz/dtheta is 1 wherever 0 < z < 1
  T sharpness = T(1), edge = T(0);

  GaussianGate() = default;
  explicit GaussianGate(T its_sharpness) noexcept : sharpness(its_sharpness), edge(detail::edge_of(its_sharpness)) {}

  /// mu + sigma n, before the clamp.
  template <class V>
  V draw(const V& mu, const V& noise, const V& sigma) const noexcept {
    return simd::fma(sigma, noise, mu);
  }
  template <class V>
  V slope(const V&) const noexcept {
    return V(T(1));
  }
  /// The value at noise 0, before the clamp.
  template <class V>
  V relaxed(const V& mu) const noexcept {
    return mu;
  }
  // The penalties take 1 / sigma.
  template <class V>
  V penalty(Penalty penalty, const V& mu, const V& inverse) const noexcept {
    switch (penalty) {
    case Penalty::none:
      return V(T(0));
    case Penalty::sparse:
      return normal_distribution((mu - V(edge)) * inverse);
    case Penalty::undecided:
      return normal_distribution((V(T(1) - edge) - mu) * inverse) - normal_distribution((V(edge) - mu) * inverse);
    default:
      return detail::Decision<V>(penalty, normal_distribution((mu - V(T(0.5))) * inverse)).value;
    }
  }
  template <class V>
  V penalty_slope(Penalty penalty, const V& mu, const V& inverse) const noexcept {
    switch (penalty) {
    case Penalty::none:
      return V(T(0));
    case Penalty::sparse:
      return normal_density((mu - V(edge)) * inverse) * inverse;
    case Penalty::undecided:
      return (normal_density((mu - V(edge)) * inverse) - normal_density((V(T(1) - edge) - mu) * inverse)) * inverse;
    default: {
      const V x = (mu - V(T(0.5))) * inverse;
      return detail::Decision<V>(penalty, normal_distribution(x)).slope * normal_density(x) * inverse;
    }
    }
  }
  /// The derivative of `penalty` by sigma.
  template <class V>
  V penalty_sigma_slope(Penalty penalty, const V& mu, const V& inverse) const noexcept {
    const V a = (V(edge) - mu) * inverse, b = (V(T(1) - edge) - mu) * inverse, x = (mu - V(T(0.5))) * inverse;
    switch (penalty) {
    case Penalty::none:
      return V(T(0));
    case Penalty::sparse:
      return a * normal_density(a) * inverse;
    case Penalty::undecided:
      return (a * normal_density(a) - b * normal_density(b)) * inverse;
    default:
      return -detail::Decision<V>(penalty, normal_distribution(x)).slope * x * normal_density(x) * inverse;
    }
  }
};

/// s = sigmoid((n + log alpha) / beta), z = clamp(s (zeta - gamma) + gamma, 0, 1), n logistic.
/// Source: Louizos, Welling, Kingma, "Learning sparse neural networks through L0 regularization", ICLR 2018.
template <class T>
struct HardConcreteGate {
  using Noise = LogisticNoise;
  static constexpr bool unit_slope = false;
  static constexpr T gamma = T(-0.1), zeta = T(1.1), beta = T(2) / T(3);
  T sharpness = T(1);
  /// beta log((edge - gamma) / (zeta - edge)): z > 0 with probability sigmoid(log alpha - shift), z = 1 with sigmoid(log alpha + shift)
  /// (the same shift, because gamma and zeta lie symmetrically around 1/2).
  T shift = shift_of(T(0));

  HardConcreteGate() = default;
  explicit HardConcreteGate(T its_sharpness) noexcept : sharpness(its_sharpness), shift(shift_of(detail::edge_of(its_sharpness))) {}

  template <class V>
  V draw(const V& log_alpha, const V& noise, const V&) const noexcept {
    return simd::fma(simd::sigmoid((noise + log_alpha) * V(T(1) / beta)), V(zeta - gamma), V(gamma));
  }
  /// dz/dlog_alpha from the unclamped draw x, where 0 < x < 1.
  template <class V>
  V slope(const V& x) const noexcept {
    const V s = (x - V(gamma)) * V(T(1) / (zeta - gamma));
    return V((zeta - gamma) / beta) * s * (V(T(1)) - s);
  }
  template <class V>
  V relaxed(const V& log_alpha) const noexcept {  // gamma + zeta = 1; written so, it is exactly 1/2 where log alpha is 0
    return simd::fma(simd::sigmoid(log_alpha) - V(T(0.5)), V(zeta - gamma), V(T(0.5)));
  }
  template <class V>
  V penalty(Penalty penalty, const V& log_alpha, const V&) const noexcept {
    switch (penalty) {
    case Penalty::none:
      return V(T(0));
    case Penalty::sparse:
      return above_zero(log_alpha);
    case Penalty::undecided:
      return above_zero(log_alpha) - is_one(log_alpha);
    default:
      return detail::Decision<V>(penalty, simd::sigmoid(log_alpha)).value;
    }
  }
  template <class V>
  V penalty_slope(Penalty penalty, const V& log_alpha, const V&) const noexcept {
    switch (penalty) {
    case Penalty::none:
      return V(T(0));
    case Penalty::sparse:
      return logistic_density(above_zero(log_alpha));
    case Penalty::undecided:
      return logistic_density(above_zero(log_alpha)) - logistic_density(is_one(log_alpha));
    default: {
      const V p = simd::sigmoid(log_alpha);
      return detail::Decision<V>(penalty, p).slope * logistic_density(p);
    }
    }
  }

 private:
  static T shift_of(T edge) noexcept { return beta * std::log((edge - gamma) / (zeta - edge)); }
  template <class V>
  V above_zero(const V& log_alpha) const noexcept {
    return simd::sigmoid(log_alpha - V(shift));
  }
  template <class V>
  V is_one(const V& log_alpha) const noexcept {
    return simd::sigmoid(log_alpha + V(shift));
  }
  template <class V>
  static V logistic_density(const V& p) noexcept {
    return p * (V(T(1)) - p);
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::kernels
