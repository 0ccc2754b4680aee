#include "tombola/gates/options.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/arrays.hpp"

using namespace tombola;
using gates::Bounds;
using gates::GateOptions;
using gates::make_gates;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The mean of f over the gates' parameters, with the variance of one that is expected.
template <class T, class F>
test::Sample mean_of(const GateParameter<T>& gate, double variance, const F& f) {
  double sum = 0;
  for (const T theta : gate.theta) sum += f(static_cast<double>(theta));
  const auto count = static_cast<double>(gate.size());
  return {count, sum / count, variance};
}

template <class T>
GateParameter<T> make(const GateOptions& options) {
  return make_gates<T>(options, "fc1", 1, 0, {2, 3});
}

}  // namespace

TEST_CASE("gates start at 1/2 plus noise of the deviation asked for") {
  const auto check = [](const GateOptions& options, double start) {
    const auto gate = make_gates<float>(options, "fc1", 42, 3, {500, 600});
    const double deviation = options.start_deviation;
    // Standard errors of the mean and of the variance of normal numbers.
    CHECK(mean_of(gate, deviation * deviation, [](double x) { return x; }).agrees_with(start));
    CHECK(mean_of(gate, 2 * std::pow(deviation, 4), [&](double x) {
            return (x - start) * (x - start);
          }).agrees_with(deviation * deviation));
  };
  check({}, 0.5);
  check({.kind = GateKind::hard_concrete}, 0);
  check({.start = 0.25, .start_deviation = 0.05}, 0.25);
  check({.kind = GateKind::hard_concrete, .start = -1, .start_deviation = 0.5}, -1);
}

TEST_CASE("what make_gates sets, and what it leaves empty") {
  const Tensor<float> weight({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto gate = make_gates<float>({.sigma = 0.25}, "fc1", 42, 3, {2, 3}, weight);
  CHECK(gate.name == "fc1");
  CHECK(gate.id == 3);
  CHECK(gate.kind == GateKind::gaussian);
  CHECK(gate.shape() == Shape{2, 3});
  CHECK(gate.sigma == 0.25f);
  CHECK(gate.weight_data() == weight.data());
  CHECK(gate.sigma_data() == nullptr);
  CHECK(gate.learned_sigma.log_sigma.size() == 0);
  CHECK(gate.low == -1);
  CHECK(gate.high == 1.25f);
  CHECK(gate.cost == 1);
  CHECK_FALSE(gate.pending);
  CHECK_FALSE(gate.has_gradient);
  for (Index i = 0; i < 6; ++i) CHECK((gate.m[i] == 0 && gate.v[i] == 0));
  CHECK(make_gates<float>({}, "units", 42, 3, {7}).weight_data() == nullptr);
  CHECK(make_gates<float>({}, "none", 42, 3, {0, 5}).size() == 0);
  const auto hard = make<float>({.kind = GateKind::hard_concrete});
  CHECK(hard.kind == GateKind::hard_concrete);
  CHECK(hard.low == -5);
  CHECK(hard.high == 5);
}

TEST_CASE("a start is a function of seed, id and place") {
  const auto start = [](std::uint64_t seed, std::uint32_t id, const Shape& shape) {
    const auto gate = make_gates<float>({}, "fc1", seed, id, shape);
    return std::vector<float>(gate.theta.begin(), gate.theta.end());
  };
  const auto here = start(42, 3, {10, 13});
  CHECK((start(42, 3, {10, 13}) == here));
  CHECK((start(42, 3, {130}) == here));
  const auto longer = start(42, 3, {200});
  CHECK(std::equal(here.begin(), here.end(), longer.begin()));  // a gate does not depend on how many there are
  CHECK_FALSE((start(43, 3, {10, 13}) == here));
  CHECK_FALSE((start(42, 4, {10, 13}) == here));
  // double starts at the same noise
  const auto wide = make_gates<double>({}, "fc1", 42, 3, {10, 13});
  for (Index i = 0; i < 130; ++i) CHECK(static_cast<float>(wide.theta[i]) == here[static_cast<std::size_t>(i)]);
}

TEST_CASE("a start lies within the bounds") {
  const auto gate = make_gates<float>({.start = 1.2, .start_deviation = 0.1}, "fc1", 42, 3, {1000});
  Index at_high = 0;
  for (const float theta : gate.theta) {
    CHECK(theta <= 1.25f);
    at_high += theta == 1.25f;
  }
  CHECK((at_high > 200 && at_high < 400));  // P(n > 1/2) = .31
  const auto tight = make_gates<float>({.bounds = Bounds{0.6, 0.7}}, "fc1", 42, 3, {100});
  for (const float theta : tight.theta) CHECK((theta >= 0.6f && theta <= 0.7f));
  const auto none = make_gates<float>({.start = 5, .bounds = Bounds::none()}, "fc1", 42, 3, {100});
  for (const float theta : none.theta) CHECK(theta == doctest::Approx(5).epsilon(0.02));  // five deviations
  CHECK(none.high == std::numeric_limits<float>::infinity());
  CHECK(none.low == -std::numeric_limits<float>::infinity());
}

TEST_CASE_TEMPLATE_DEFINE("learned sigmas", T, learned) {
  const auto layer = make<T>({.sigma = 0.25, .sigma_mode = SigmaMode::layer, .sigma_through_penalty = true});
  CHECK(layer.learned_sigma.log_sigma.shape() == Shape{1});
  CHECK(layer.learned_sigma.log_sigma[0] == doctest::Approx(std::log(0.25)));
  CHECK(layer.learned_sigma.through_penalty);
  CHECK(layer.sigma_data() == nullptr);
  CHECK(layer.sigma == T(0.25));
  const auto each = make<T>({.sigma = 0.25, .sigma_mode = SigmaMode::gate});
  CHECK(each.learned_sigma.log_sigma.shape() == Shape{6});
  CHECK(each.learned_sigma.m.size() == 6);
  CHECK(each.learned_sigma.v.size() == 6);
  CHECK_FALSE(each.learned_sigma.through_penalty);
  for (Index i = 0; i < 6; ++i) {
    CHECK(each.sigma_data()[i] == T(0.25));
    CHECK(each.learned_sigma.log_sigma[i] == doctest::Approx(std::log(0.25)));
  }
  for (const double sigma : {0.1, 1.0}) CHECK_NOTHROW(make<T>({.sigma = sigma, .sigma_mode = SigmaMode::layer}));
}
TEST_CASE_TEMPLATE_INVOKE(learned, float, double);

TEST_CASE("options out of range are refused") {
  CHECK_THROWS_WITH_AS(make<float>({.sigma = 0}), "fc1: expected a gate sigma in [1e-6, 100], got 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.sigma = 1e-8}), "fc1: expected a gate sigma in [1e-6, 100], got 1e-08",
                       std::invalid_argument);  // where penalties could not tell it from 1e-6
  CHECK_NOTHROW(make<float>({.sigma = 1e-6}));
  CHECK_THROWS_WITH_AS(make<float>({.sigma = -0.5}), "fc1: expected a gate sigma in [1e-6, 100], got -0.5",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.sigma = 101}), "fc1: expected a gate sigma in [1e-6, 100], got 101",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.sigma = not_a_number}), "fc1: expected a gate sigma in [1e-6, 100], got nan",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.bounds = Bounds{1, 1}}), "fc1: expected gate bounds with low < high, got [1, 1]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.bounds = Bounds{2, 1}}), "fc1: expected gate bounds with low < high, got [2, 1]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.bounds = Bounds{not_a_number, 1}}),
                       "fc1: expected gate bounds with low < high, got [nan, 1]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.start = infinity}), "fc1: expected a finite start, got inf",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.start = not_a_number}), "fc1: expected a finite start, got nan",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.start = 2}), "fc1: expected a start within the bounds [-1, 1.25], got 2", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.kind = GateKind::hard_concrete, .start = -6}), "fc1: expected a start within the bounds [-5, 5], got -6",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.reach = -0.5}), "fc1: expected a gate reach in [0, 100], got -0.5", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.reach = not_a_number}), "fc1: expected a gate reach in [0, 100], got nan", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.sharpness = 0.5}), "fc1: expected a gate sharpness in [1, 1e6], got 0.5", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.sharpness = not_a_number}), "fc1: expected a gate sharpness in [1, 1e6], got nan", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.start_deviation = -0.1}),
                       "fc1: expected a finite start deviation of at least 0, got -0.1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.start_deviation = infinity}),
                       "fc1: expected a finite start deviation of at least 0, got inf", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.kind = GateKind::hard_concrete, .sigma_mode = SigmaMode::layer}),
                       "fc1: expected Gaussian gates for a learned sigma, got hard-concrete", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<float>({.sigma = 0.05, .sigma_mode = SigmaMode::layer}),
                       "fc1: expected a learned sigma that starts in [0.1, 1], got 0.05", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make<double>({.sigma = 1.5, .sigma_mode = SigmaMode::gate}),
                       "fc1: expected a learned sigma that starts in [0.1, 1], got 1.5", std::invalid_argument);
  const Tensor<float> weight({3, 2});
  CHECK_THROWS_WITH_AS(make_gates<float>({}, "fc1", 1, 0, {2, 3}, weight), "fc1: expected weights [2, 3], got [3, 2]",
                       std::invalid_argument);
}

TEST_CASE("with_formulas gives the formulas of the gates' kind and sharpness") {
  for (const auto& [its_kind, its_sharpness] : {std::pair{GateKind::gaussian, 1.0}, {GateKind::gaussian, 4.0}, {GateKind::hard_concrete, 2.5}}) {
    const GateKind kind = its_kind;
    const double sharpness = its_sharpness;
    const auto gate = make<float>({.kind = kind, .sharpness = sharpness});
    gates::with_formulas(gate, [kind, sharpness](auto formulas) {
      CHECK(std::is_same_v<decltype(formulas), kernels::GaussianGate<float>> == (kind == GateKind::gaussian));
      CHECK(formulas.sharpness == static_cast<float>(sharpness));
    });
  }
}
