#include "tombola/kernels/adam.hpp"

#include <doctest/doctest.h>

#include "support/architectures.hpp"
#include "support/arrays.hpp"
#include "support/worst.hpp"

using namespace tombola;
using test::at;

namespace {

constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, rate = 0.05;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The constants of step t = 1, 2, ...
template <class T>
kernels::AdamStep<T> step(int t, double low = -infinity, double high = infinity) {
  return {T(beta1), T(beta2), T(epsilon), T(rate / (1 - std::pow(beta1, t))), T(1 / std::sqrt(1 - std::pow(beta2, t))),
          T(low),   T(high)};
}

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("adam is algorithm 1 of the paper", Kind, algorithm) {
  using T = typename Kind::T;
  for (const Index size : test::sizes_above(8192)) {
    CAPTURE(size);
    test::Guarded<T> theta(test::uniform<T>(size, -1, 1, 1)), m(size, T(0)), v(size, T(0));
    std::vector<double> exact_theta(theta.data(), theta.data() + size), exact_m(at(size)), exact_v(at(size));
    for (int t = 1; t <= 5; ++t) {
      const auto g = test::uniform<T>(size, -1e-2, 1e-2, static_cast<std::uint32_t>(1 + t));
      kernels::adam<T, typename Kind::Arch>(1, step<T>(t), size, g.data(), theta.data(), m.data(), v.data());
      for (std::size_t i = 0; i < at(size); ++i) {
        const double gi = static_cast<double>(g[i]);
        exact_m[i] = beta1 * exact_m[i] + (1 - beta1) * gi;
        exact_v[i] = beta2 * exact_v[i] + (1 - beta2) * gi * gi;
        const double corrected_m = exact_m[i] / (1 - std::pow(beta1, t)),
                     corrected_v = exact_v[i] / (1 - std::pow(beta2, t));
        exact_theta[i] -= rate * corrected_m / (std::sqrt(corrected_v) + epsilon);
      }
    }
    CHECK((theta.intact() && m.intact() && v.intact()));
    double worst = 0, worst_m = 0, worst_v = 0;
    for (Index i = 0; i < size; ++i) {
      test::widen(worst, std::abs(static_cast<double>(theta[i]) - exact_theta[at(i)]));
      test::widen(worst_m, std::abs(static_cast<double>(m[i]) - exact_m[at(i)]));
      test::widen(worst_v, std::abs(static_cast<double>(v[i]) - exact_v[at(i)]));
    }
    // Five steps of at most .05, on parameters of order 1; 1 - .999 in float is off by 2e-5, which the bias correction
    // takes up only in part.
    const bool single = sizeof(T) == 4;
    CHECK(worst < (single ? 4e-6 : 1e-15));
    CHECK(worst_m < (single ? 3e-9 : 1e-17));
    CHECK(worst_v < (single ? 1e-11 : 1e-20));
  }
}
TEST_CASE_TEMPLATE_APPLY(algorithm, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("adam's first step moves by the rate, whatever the gradient's size", Kind, first_step) {
  using T = typename Kind::T;
  for (const T g : {T(1), T(-1e-4), T(1e4)}) {
    T theta = 0, m = 0, v = 0;
    kernels::adam<T, typename Kind::Arch>(1, step<T>(1), 1, &g, &theta, &m, &v);
    CHECK(theta == doctest::Approx(g > 0 ? -rate : rate).epsilon(2e-4));  // epsilon is 1e-4 of the smallest gradient
  }
}
TEST_CASE_TEMPLATE_APPLY(first_step, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("adam keeps parameters within the bounds", Kind, bounds) {
  using T = typename Kind::T;
  const Index size = 100;
  test::Guarded<T> theta(test::uniform<T>(size, -1, 1.25, 1)), m(size, T(0)), v(size, T(0));
  const auto g = test::uniform<T>(size, -1, 1, 2);
  for (int t = 1; t <= 60; ++t) {
    kernels::adam<T, typename Kind::Arch>(1, step<T>(t, -1, 1.25), size, g.data(), theta.data(), m.data(), v.data());
  }
  for (Index i = 0; i < size; ++i) CHECK(theta[i] == (g[at(i)] > 0 ? T(-1) : T(1.25)));  // 60 steps of .05 reach them
}
TEST_CASE_TEMPLATE_APPLY(bounds, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("adam's moments decay to zero without denormal numbers", Kind, denormals) {
  using T = typename Kind::T;
  const Index size = 37;
  std::vector<T> theta(at(size)), m(at(size), T(1e-3)), v(at(size), T(1e-9)), g(at(size));
  for (Index i = 0; i < size; i += 2) m[at(i)] = -m[at(i)];
  for (int t = 1000; t < 60'000; t += 1) {  // .999^50000 1e-9 = 2e-31
    kernels::adam<T, typename Kind::Arch>(1, step<T>(1000), size, g.data(), theta.data(), m.data(), v.data());
    const bool denormal = std::fpclassify(m[5]) == FP_SUBNORMAL || std::fpclassify(v[5]) == FP_SUBNORMAL;
    if (denormal) FAIL("a denormal moment in step ", t);
  }
  for (Index i = 0; i < size; ++i) CHECK((m[at(i)] == 0 && v[at(i)] == 0 && std::isfinite(theta[at(i)])));
}
TEST_CASE_TEMPLATE_APPLY(denormals, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("adam passes a gradient that is NaN on", Kind, nan_gradient) {
  using T = typename Kind::T;
  T g = std::numeric_limits<T>::quiet_NaN(), theta = 0, m = 0, v = 0;
  kernels::adam<T, typename Kind::Arch>(1, step<T>(1, -1, 1.25), 1, &g, &theta, &m, &v);
  CHECK(std::isnan(theta));  // a bound would hide it
}
TEST_CASE_TEMPLATE_APPLY(nan_gradient, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("adam gives the same bits for any number of threads", Kind, threads) {
  using T = typename Kind::T;
  const Index size = 3 * 8192 + 77;
  const auto g = test::uniform<T>(size, -1, 1, 2);
  test::Guarded<T> first(size);
  for (const int threads : test::thread_counts) {
    test::Guarded<T> theta(size, T(0)), m(size, T(0.1)), v(size, T(0.1));
    kernels::adam<T, typename Kind::Arch>(threads, step<T>(3), size, g.data(), theta.data(), m.data(), v.data());
    if (threads == 1) first = theta;
    CHECK(theta == first);
  }
}
TEST_CASE_TEMPLATE_APPLY(threads, test::OnEach);
