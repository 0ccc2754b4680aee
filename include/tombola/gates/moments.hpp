/// \file
/// Closed forms of what a gate is on average, for tests and for those who study gates.
#pragma once

#include <cmath>
#include <numbers>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA::gates {

/// Moments of z = clamp(mu + eps, 0, 1), eps ~ N(0, sigma^2), with a = -mu/sigma and b = (1 - mu)/sigma.
struct GaussianMoments {
  double zero;         ///< P(z = 0) = Phi(a)
  double one;          ///< P(z = 1) = Phi(-b)
  double mean;         ///< E z = mu (Phi(b) - Phi(a)) + sigma (phi(a) - phi(b)) + 1 - Phi(b)
  double slope;        ///< E dz/dmu = P(0 < z < 1) = Phi(b) - Phi(a)
  double sigma_slope;  ///< E dz/dsigma = phi(a) - phi(b)
};

/// Source: arXiv 2603.08914; clamped normal moments, Johnson, Kotz, Balakrishnan, "Continuous univariate distributions", ch. 13.
inline GaussianMoments gaussian_moments(double mu, double sigma) noexcept {
  const auto density = [](double x) { return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2; };
  const auto distribution = [](double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; };
  const double a = -mu / sigma, b = (1 - mu) / sigma;
  const double inside = distribution(b) - distribution(a), drift = density(a) - density(b);
  return {distribution(a), distribution(-b), mu * inside + sigma * drift + distribution(-b), inside, drift};
}

}  // namespace tombola::inline TOMBOLA_ISA::gates
