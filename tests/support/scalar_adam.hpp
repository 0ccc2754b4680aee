/// \file
/// Adam for one number, in double, as the paper writes it: Kingma, Ba, ICLR 2015, algorithm 1.
#pragma once

#include <algorithm>
#include <cmath>

namespace test_support {

struct ScalarAdam {
  double rate = 0.05, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double m = 0, v = 0;
  int t = 0;

  /// theta after one step down the gradient g, kept in [low, high].
  double step(double theta, double g, double low, double high) {
    ++t;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat = m / (1 - std::pow(beta1, t)), v_hat = v / (1 - std::pow(beta2, t));
    return std::clamp(theta - rate * m_hat / (std::sqrt(v_hat) + epsilon), low, high);
  }
};

}  // namespace test_support
