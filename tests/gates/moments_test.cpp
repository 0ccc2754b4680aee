#include "tombola/gates/moments.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "support/arrays.hpp"
#include "tombola/kernels/gate_update.hpp"

using namespace tombola;
using gates::gaussian_moments;
using gates::GaussianMoments;

namespace {

struct Point {
  double mu, sigma;
  GaussianMoments moments;
};
// mpmath 1.3 with 40 digits, by numerical integration of the density over (-inf, 0], [0, 1], [1, inf), not by closed forms.
constexpr Point points[] = {
    {0.5, 0.5, {0.15865525393145705, 0.15865525393145705, 0.5, 0.6826894921370859, 0.0}},
    {-0.5,
     0.5,
     {0.84134474606854295, 0.0013498980316300945, 0.041466658135319287, 0.15730535589982696, 0.23753887610720534}},
    {0.25,
     0.5,
     {0.3085375387259869, 0.066807201268858066, 0.3342448818193507, 0.62465526000515504, 0.22254773109840775}},
    {1.25,
     0.5,
     {0.0062096653257761352, 0.6914624612740131, 0.90210378988891108, 0.30232787340021076, -0.33453702627073094}},
    {0.5, 0.1, {2.8665157187919391e-7, 2.8665157187919391e-7, 0.5, 0.99999942669685624, -0.0}},
    {0.9,
     1.0,
     {0.18406012534675949, 0.46017216272297102, 0.64949580588195662, 0.35576771193026949, -0.13086729757825694}},
};

}  // namespace

TEST_CASE("closed forms agree with numerical integrals") {
  for (const Point& point : points) {
    const double mu = point.mu, sigma = point.sigma;
    const GaussianMoments& moments = point.moments;
    CAPTURE(mu);
    CAPTURE(sigma);
    const GaussianMoments got = gaussian_moments(mu, sigma);
    CHECK(std::abs(got.zero - moments.zero) < 1e-15);
    CHECK(std::abs(got.one - moments.one) < 1e-15);
    CHECK(std::abs(got.mean - moments.mean) < 1e-15);
    CHECK(std::abs(got.slope - moments.slope) < 1e-15);
    CHECK(std::abs(got.sigma_slope - moments.sigma_slope) < 1e-15);
  }
}

TEST_CASE("the figures at mu = sigma = 1/2") {
  const GaussianMoments half = gaussian_moments(0.5, 0.5);
  CHECK(std::abs(half.zero - 0.1587) < 5e-5);
  CHECK(std::abs(half.one - 0.1587) < 5e-5);
  CHECK(std::abs(half.slope - 0.6827) < 5e-5);
  CHECK(std::abs(half.mean - 0.5) < 1e-15);
  CHECK(std::abs(half.sigma_slope) < 1e-15);
  const double mu = 0.5;
  double value = 0, slope = 0;
  kernels::gate_penalty<kernels::GaussianGate<double>, double>(1, {}, Penalty::sparse, {1, &mu, nullptr, 0.5, nullptr},
                                                               &value);
  kernels::gate_gradient<kernels::GaussianGate<double>, double>(
      1, {}, {{1, &mu, nullptr, 0.5, nullptr}, nullptr, nullptr, nullptr, 0, Penalty::sparse, 1}, &slope);
  CHECK(std::abs(value - 0.8413) < 5e-5);
  CHECK(std::abs(slope - 0.4839) < 5e-5);
  CHECK(value == doctest::Approx(1 - half.zero));
}

TEST_CASE_TEMPLATE_DEFINE("drawn gates have these moments", T, monte_carlo) {
  const Index count = 1'000'000;
  const auto size = static_cast<std::size_t>(count);
  const Stream stream{7, Purpose::gate_noise, 1, 2};
  const std::vector<T> ones(size, T(1));
  std::vector<T> z(size), sigma_slope(size);
  std::vector<std::uint64_t> open((size + 63) / 64);
  for (const Point& point : points) {
    const double mu = point.mu, sigma = point.sigma;
    const GaussianMoments& moments = point.moments;
    CAPTURE(mu);
    CAPTURE(sigma);
    const std::vector<T> theta(size, T(mu));
    const kernels::GateInput<T> in{count, theta.data(), nullptr, T(sigma), nullptr};
    kernels::gate_sample(1, kernels::GaussianGate<T>{}, stream, in, {nullptr, z.data(), open.data(), nullptr, nullptr});
    const kernels::GateGradient<T> from{in, ones.data(), open.data()};
    kernels::gate_sigma_gradient(1, kernels::GaussianGate<T>(), stream, from, false, sigma_slope.data());
    // The mean of f over all gates, with the variance of the sample.
    const auto mean = [&](const auto& f) {
      double sum = 0, squares = 0;
      for (std::size_t i = 0; i < size; ++i) {
        const double x = f(i);
        sum += x;
        squares += x * x;
      }
      const auto n = static_cast<double>(count);
      return test::Sample{n, sum / n, squares / n - sum / n * (sum / n)};
    };
    const auto draw = [&](std::size_t i) { return static_cast<double>(z[i]); };
    CHECK(mean(draw).agrees_with(moments.mean));
    CHECK(mean([&](std::size_t i) {
            return static_cast<double>(open[i / 64] >> (i % 64) & 1);
          }).agrees_with(moments.slope));
    CHECK(mean([&](std::size_t i) { return static_cast<double>(sigma_slope[i]); }).agrees_with(moments.sigma_slope));
    // Rare events too: at sigma .1, one gate in 3.5 million is closed, and the sample may show none. The variance of one draw
    // is the expected one there.
    const auto share = [&](double edge, double expected) {
      const double p = mean([&](std::size_t i) { return z[i] == T(edge) ? 1.0 : 0.0; }).mean;
      return test::Sample{static_cast<double>(count), p, expected * (1 - expected)}.agrees_with(expected);
    };
    CHECK(share(0, moments.zero));
    CHECK(share(1, moments.one));
  }
}
TEST_CASE_TEMPLATE_INVOKE(monte_carlo, float, double);
