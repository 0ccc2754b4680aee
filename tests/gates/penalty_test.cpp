#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/arrays.hpp"
#include "tombola/kernels/gate_update.hpp"

using namespace tombola;
using kernels::GaussianGate;
using kernels::HardConcreteGate;

namespace {

struct GaussianPoint {
  Penalty penalty;
  double mu, sigma, value, slope, sigma_slope;
};
// mpmath 1.3 with 40 digits: METHOD's formulas from erfc and log, slopes by mp.diff.
constexpr GaussianPoint gaussian_points[] = {
    {Penalty::sparse, -1.0, 0.5, 0.022750131948179207, 0.1079819330263761, 0.21596386605275221},
    {Penalty::sparse, -0.25, 0.5, 0.3085375387259869, 0.70413065352859896, 0.35206532676429948},
    {Penalty::sparse, 0.0, 0.5, 0.5, 0.79788456080286536, 0.0},
    {Penalty::sparse, 0.5, 0.5, 0.84134474606854295, 0.4839414490382867, -0.4839414490382867},
    {Penalty::sparse, 0.75, 0.5, 0.93319279873114193, 0.25903519133178346, -0.38855278699767518},
    {Penalty::sparse, 1.25, 0.5, 0.99379033467422386, 0.035056600987137075, -0.087641502467842687},
    {Penalty::sparse, 0.125, 0.25, 0.6914624612740131, 1.4082613070571979, -0.70413065352859896},
    {Penalty::sparse, 0.75, 1.0, 0.7733726476231318, 0.3011374321548044, -0.2258530741161033},
    {Penalty::undecided, -1.0, 0.5, 0.022718460706346087, 0.10771427257484633, 0.21489322424663312},
    {Penalty::undecided, -0.25, 0.5, 0.30232787340021076, 0.66907405254146188, 0.26442382429645679},
    {Penalty::undecided, 0.0, 0.5, 0.47724986805182079, 0.68990262777648925, -0.21596386605275221},
    {Penalty::undecided, 0.5, 0.5, 0.6826894921370859, 0.0, -0.9678828980765734},
    {Penalty::undecided, 0.75, 0.5, 0.62465526000515504, -0.4450954621968155, -0.74061811376197466},
    {Penalty::undecided, 1.25, 0.5, 0.30232787340021076, -0.66907405254146188, 0.26442382429645679},
    {Penalty::undecided, 0.125, 0.25, 0.69122983219497758, 1.4047705762770149, -0.7163482112592396},
    {Penalty::undecided, 0.75, 1.0, 0.37207897330605552, -0.085530684648044802, -0.32252010331681561},
    {Penalty::variance, -1.0, 0.5, 0.0053923032277371829, 0.035359066600339928, 0.10607719980101978},
    {Penalty::variance, -0.25, 0.5, 0.24937599650992142, 0.8976974360229769, 1.3465461540344653},
    {Penalty::variance, 0.0, 0.5, 0.53393505732560773, 1.3215269682721335, 1.3215269682721335},
    {Penalty::variance, 0.5, 0.5, 1.0, 0.0, 0.0},
    {Penalty::variance, 0.75, 0.5, 0.85336850369158813, -1.0785167038645193, 0.53925835193225966},
    {Penalty::variance, 1.25, 0.5, 0.24937599650992142, -0.8976974360229769, 1.3465461540344653},
    {Penalty::variance, 0.125, 0.25, 0.24937599650992142, 1.7953948720459538, 2.6930923080689307},
    {Penalty::variance, 0.75, 1.0, 0.96102824508070637, -0.3053327125467586, 0.07633317813668965},
    {Penalty::entropy, -1.0, 0.5, 0.014814664788375327, 0.084479761867234744, 0.25343928560170423},
    {Penalty::entropy, -0.25, 0.5, 0.35389417131689533, 0.98539568002709185, 1.4780935200406378},
    {Penalty::entropy, 0.0, 0.5, 0.63108276740554189, 1.1647511395732548, 1.1647511395732548},
    {Penalty::entropy, 0.5, 0.5, 1.0, 0.0, 0.0},
    {Penalty::entropy, 0.75, 0.5, 0.89147807912249478, -0.81975235939014963, 0.40987617969507481},
    {Penalty::entropy, 1.25, 0.5, 0.35389417131689533, -0.98539568002709185, 1.4780935200406378},
    {Penalty::entropy, 0.125, 0.25, 0.35389417131689533, 1.9707913600541837, 2.9561870400812756},
    {Penalty::entropy, 0.75, 1.0, 0.97170231704271859, -0.22318100841270564, 0.05579525210317641},
};

struct HardPoint {
  Penalty penalty;
  double log_alpha, value, slope;
};
// Likewise, with gamma -1/10, zeta 11/10, beta 2/3.
constexpr HardPoint hard_points[] = {
    {Penalty::sparse, -4.0, 0.083065761740750132, 0.076165840967179064},
    {Penalty::sparse, -1.0, 0.64533522171311458, 0.22887767332959983},
    {Penalty::sparse, 0.0, 0.83182218399169041, 0.13989403821098476},
    {Penalty::sparse, 0.5, 0.89076672508970909, 0.09730136656266372},
    {Penalty::sparse, 3.0, 0.99003436370307191, 0.0098663223901254413},
    {Penalty::undecided, -4.0, 0.079376367752047599, 0.072490058606480405},
    {Penalty::undecided, -1.0, 0.57610644231480542, 0.16444151782827042},
    {Penalty::undecided, 0.0, 0.66364436798338082, 0.0},
    {Penalty::undecided, 0.5, 0.64076383005305996, -0.090200080947279608},
    {Penalty::undecided, 3.0, 0.18762791060371404, -0.14868401473374043},
    {Penalty::variance, -4.0, 0.070650824853164466, 0.068109343713556521},
    {Penalty::variance, -1.0, 0.78644773296592741, 0.36343099069179364},
    {Penalty::variance, 0.0, 1.0, 0.0},
    {Penalty::variance, 0.5, 0.94001484880637796, -0.23022717940928296},
    {Penalty::variance, 3.0, 0.18070663892364853, -0.16356629864377391},
    {Penalty::entropy, -4.0, 0.12997927466630491, 0.1019275946503751},
    {Penalty::entropy, -1.0, 0.83994153798316922, 0.28365106106707781},
    {Penalty::entropy, 0.0, 1.0, 0.0},
    {Penalty::entropy, 0.5, 0.95628653938072898, -0.16951934509186878},
    {Penalty::entropy, 3.0, 0.27535994729467974, -0.1955284288731452},
};

template <class Gate, class T>
double value_of(Penalty penalty, T theta, T sigma, const Gate& gate = {}) {
  double sum = 0;
  kernels::gate_penalty<Gate, T>(1, gate, penalty, {1, &theta, nullptr, sigma, nullptr}, &sum);
  return sum;
}
template <class Gate, class T>
double slope_of(Penalty penalty, T theta, T sigma, const Gate& gate = {}) {
  T slope;
  kernels::gate_gradient<Gate, T>(
      1, gate, {{1, &theta, nullptr, sigma, nullptr}, nullptr, nullptr, nullptr, 0, penalty, 1}, &slope);
  return static_cast<double>(slope);
}
template <class T>
double sigma_slope_of(Penalty penalty, T mu, T sigma, const GaussianGate<T>& gate = {}) {
  T slope;
  kernels::gate_sigma_gradient<T>(1, gate, {}, {{1, &mu, nullptr, sigma, nullptr}, nullptr, nullptr, nullptr, 0, penalty, 1},
                                  true, &slope);
  return static_cast<double>(slope);
}

/// The greatest value for theta in [-5, 5], and where it is.
struct Peak {
  double value = 0, theta = 0;
};
template <class Gate>
Peak peak_of(Penalty penalty) {
  Peak peak;
  for (int i = -5000; i <= 5000; ++i) {
    const double value = value_of<Gate>(penalty, i * 1e-3, 0.5);
    if (value > peak.value) peak = {value, i * 1e-3};
  }
  return peak;
}

}  // namespace

// A few roundings of numbers up to 3, and an error function that is off by 8e-15 in double. Measured: below 3e-7 in float and
// 1e-14 in double; hard-concrete below 1.5e-7 and 6e-16.
TEST_CASE_TEMPLATE_DEFINE("penalties of Gaussian gates agree with values from elsewhere", T, gaussian) {
  const double tolerance = sizeof(T) == 4 ? 1e-6 : 3e-14;
  for (const auto& [penalty, at, width, value, slope, sigma_slope] : gaussian_points) {
    const double mu = at, sigma = width;  // CAPTURE is a lambda, which cannot take the others before clang 16
    CAPTURE(mu);
    CAPTURE(sigma);
    CHECK(std::abs(value_of<GaussianGate<T>>(penalty, T(mu), T(sigma)) - value) < tolerance);
    CHECK(std::abs(slope_of<GaussianGate<T>>(penalty, T(mu), T(sigma)) - slope) < tolerance);
    CHECK(std::abs(sigma_slope_of(penalty, T(mu), T(sigma)) - sigma_slope) < tolerance);
  }
}
TEST_CASE_TEMPLATE_INVOKE(gaussian, float, double);

TEST_CASE_TEMPLATE_DEFINE("penalties of hard-concrete gates agree with values from elsewhere", T, hard_concrete) {
  const double tolerance = sizeof(T) == 4 ? 4e-7 : 2e-15;
  for (const auto& [penalty, at, value, slope] : hard_points) {
    const double log_alpha = at;
    CAPTURE(log_alpha);
    CHECK(std::abs(value_of<HardConcreteGate<T>>(penalty, T(log_alpha), T(0.5)) - value) < tolerance);
    CHECK(std::abs(slope_of<HardConcreteGate<T>>(penalty, T(log_alpha), T(0.5)) - slope) < tolerance);
  }
}
TEST_CASE_TEMPLATE_INVOKE(hard_concrete, float, double);

TEST_CASE("no penalty is zero") {
  for (const double theta : {-1.0, 0.0, 0.5, 2.0}) {
    CHECK(value_of<GaussianGate<double>>(Penalty::none, theta, 0.5) == 0);
    CHECK(slope_of<GaussianGate<double>>(Penalty::none, theta, 0.5) == 0);
    CHECK(value_of<HardConcreteGate<double>>(Penalty::none, theta, 0.5) == 0);
    CHECK(slope_of<HardConcreteGate<double>>(Penalty::none, theta, 0.5) == 0);
  }
}

TEST_CASE("penalties for a decision peak near 1 at a gate of 1/2, the sparse one grows to 1") {
  for (const Penalty penalty : {Penalty::variance, Penalty::entropy}) {
    CHECK(peak_of<GaussianGate<double>>(penalty).value == doctest::Approx(1).epsilon(1e-12));
    CHECK(peak_of<GaussianGate<double>>(penalty).theta == doctest::Approx(0.5));
    CHECK(peak_of<HardConcreteGate<double>>(penalty).value == doctest::Approx(1).epsilon(1e-12));
    CHECK(peak_of<HardConcreteGate<double>>(penalty).theta == doctest::Approx(0));
  }
  CHECK(peak_of<GaussianGate<double>>(Penalty::undecided).value == doctest::Approx(0.68269).epsilon(1e-5));
  CHECK(peak_of<GaussianGate<double>>(Penalty::undecided).theta == doctest::Approx(0.5));
  CHECK(peak_of<HardConcreteGate<double>>(Penalty::undecided).value == doctest::Approx(0.66364).epsilon(1e-5));
  CHECK(peak_of<HardConcreteGate<double>>(Penalty::undecided).theta == doctest::Approx(0));
  CHECK(peak_of<GaussianGate<double>>(Penalty::sparse).value == doctest::Approx(1).epsilon(1e-9));
  CHECK(peak_of<HardConcreteGate<double>>(Penalty::sparse).value > 0.998);
}

TEST_CASE_TEMPLATE_DEFINE("penalties and slopes stay finite far outside of the bounds", T, far) {
  for (const Penalty penalty : {Penalty::sparse, Penalty::undecided, Penalty::variance, Penalty::entropy}) {
    for (const double theta : {-1e9, -1e4, -100.0, -20.0, 20.0, 100.0, 1e4, 1e9}) {
      for (const double sigma : {0.0, 1e-3, 0.5, 100.0}) {
        CAPTURE(static_cast<int>(penalty));
        CAPTURE(theta);
        CAPTURE(sigma);
        const double value = value_of<GaussianGate<T>>(penalty, T(theta), T(sigma));
        CHECK((value >= 0 && value <= 1));
        CHECK(std::isfinite(slope_of<GaussianGate<T>>(penalty, T(theta), T(sigma))));
        CHECK(std::isfinite(sigma_slope_of(penalty, T(theta), T(sigma))));
        const double hard = value_of<HardConcreteGate<T>>(penalty, T(theta), T(sigma));
        CHECK((hard >= 0 && hard <= 1));
        CHECK(std::isfinite(slope_of<HardConcreteGate<T>>(penalty, T(theta), T(sigma))));
      }
    }
  }
}
TEST_CASE_TEMPLATE_INVOKE(far, float, double);

TEST_CASE_TEMPLATE_DEFINE("the sparse and undecided penalties are what the sampling kernel does on average, however sharp", Gate, drawn) {
  const Index count = 1'000'000;
  std::vector<double> z(static_cast<std::size_t>(count));
  for (const double sharpness : {1.0, 3.0, 50.0}) {
    const Gate gate(sharpness);
    for (const double at : {-4.0, -1.0, -0.2, 0.0, 0.5, 0.7, 1.1, 3.0}) {
      CAPTURE(sharpness);
      CAPTURE(at);
      const std::vector<double> theta(z.size(), at);
      kernels::gate_sample<Gate, double>(1, gate, {5, Purpose::gate_noise, 0, 0}, {count, theta.data(), nullptr, 0.4, nullptr},
                                         {nullptr, z.data(), nullptr, nullptr, nullptr});
      const auto share = [&](const auto& f) {
        const double p = static_cast<double>(std::count_if(z.begin(), z.end(), f)) / static_cast<double>(count);
        return test::Sample{static_cast<double>(count), p, p * (1 - p)};
      };
      const double sparse = value_of(Penalty::sparse, at, 0.4, gate), undecided = value_of(Penalty::undecided, at, 0.4, gate);
      if (sparse > 1e-4 && sparse < 1 - 1e-4) CHECK(share([](double x) { return x > 0; }).agrees_with(sparse));
      if (undecided > 1e-4) CHECK(share([](double x) { return x > 0 && x < 1; }).agrees_with(undecided));
    }
  }
}
TEST_CASE_TEMPLATE_INVOKE(drawn, GaussianGate<double>, HardConcreteGate<double>);

TEST_CASE("p = P(z > 1/2), of which the variance and the entropy are made, is that of hard-concrete draws") {
  const Index count = 1'000'000;
  std::vector<double> z(static_cast<std::size_t>(count));
  for (const double log_alpha : {-4.0, -1.0, 0.0, 0.5, 3.0}) {
    const std::vector<double> theta(z.size(), log_alpha);
    kernels::gate_sample<HardConcreteGate<double>, double>(1, {}, {5, Purpose::gate_noise, 0, 0}, {count, theta.data(), nullptr, 0.5, nullptr},
                                                           {nullptr, z.data(), nullptr, nullptr, nullptr});
    const double p = static_cast<double>(std::count_if(z.begin(), z.end(), [](double x) { return x > 0.5; })) / static_cast<double>(count);
    CHECK(test::Sample{static_cast<double>(count), p, p * (1 - p)}.agrees_with(1 / (1 + std::exp(-log_alpha))));
  }
}

// Central differences of step 1e-5: off by 1e-10 times the third derivative, which at sharpness 50 and width .1 is below 2e3.
TEST_CASE_TEMPLATE_DEFINE("slopes of penalties are their derivatives, however sharp", Gate, slopes) {
  const double step = 1e-5, tolerance = 1e-6;
  for (const Penalty penalty : {Penalty::sparse, Penalty::undecided, Penalty::variance, Penalty::entropy}) {
    for (const double sharpness : {1.0, 3.0, 50.0}) {
      const Gate gate(sharpness);
      for (const double theta : {-0.3, 0.1, 0.45, 0.5, 0.62, 0.9}) {
        CAPTURE(static_cast<int>(penalty));
        CAPTURE(sharpness);
        CAPTURE(theta);
        const double sigma = 0.1;
        const double by_theta = (value_of(penalty, theta + step, sigma, gate) - value_of(penalty, theta - step, sigma, gate)) / (2 * step);
        CHECK(std::abs(slope_of(penalty, theta, sigma, gate) - by_theta) < tolerance);
        if constexpr (std::is_same_v<Gate, GaussianGate<double>>) {
          const double by_sigma = (value_of(penalty, theta, sigma + step, gate) - value_of(penalty, theta, sigma - step, gate)) / (2 * step);
          CHECK(std::abs(sigma_slope_of(penalty, theta, sigma, gate) - by_sigma) < tolerance);
        }
      }
    }
  }
}
TEST_CASE_TEMPLATE_INVOKE(slopes, GaussianGate<double>, HardConcreteGate<double>);
