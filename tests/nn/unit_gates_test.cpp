#include "tombola/nn/unit_gates.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "support/gate_gradients.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {
constexpr Reading readings[] = {Reading::sampled, Reading::relaxed, Reading::above_zero, Reading::binary};
}

TEST_CASE("unit gates: y = s z x, every reading") {
  Context context(1);
  const Tensor<double> x = random_tensor<double>({2, 4, 9}, 1);
  for (const Rescale rescale : {Rescale::none, Rescale::layer, Rescale::neuron}) {
    nn::Init init{.seed = 3, .gates = {.start_deviation = 0.5}, .rescale = rescale, .next = 6};
    nn::UnitGates<double> units(init, "units1", 9, 2.5);
    CHECK(init.next == 7);
    CHECK(units.gate.id == 6);
    CHECK(units.gate.cost == 2.5);
    for (const Reading reading : readings) {
      const PassOptions options{.gates = reading, .seed = 4, .step = 5};
      const Tensor<double> z = gate_values(units.gate, options);
      const double sum = std::accumulate(z.begin(), z.end(), 0.0);
      const double s = rescale == Rescale::none ? 1 : std::sqrt(9 / std::max(1.0, sum));
      Tensor<double> expected(x.shape());
      for (Index i = 0; i < x.size(); ++i) expected[i] = s * z[i % 9] * x[i];
      Inference<double> pass(context, options);
      CHECK(largest_error(units(pass.input(x)).value(), expected) < 1e-14);
    }
  }
}

TEST_CASE("unit gates: a gate on several neighbours") {
  Context context(1);
  nn::Init init{.seed = 3, .gates = {.start_deviation = 0.5}, .rescale = Rescale::layer};
  nn::UnitGates<double> heads(init, "heads", 3, 1, 4), plain(init, "plain", 3);
  heads.gate.theta = Tensor<double>::copy_of(plain.gate.theta);
  const PassOptions options{.gates = Reading::relaxed};
  Inference<double> pass(context, options);
  const Var<double> y = heads(pass.input(Tensor<double>::filled({2, 12}, 1.0))), z = plain(pass.input(Tensor<double>::filled({1, 3}, 1.0)));
  for (Index i = 0; i < 24; ++i) CHECK(y.value()[i] == z.value()[i % 12 / 4]);
  CHECK_THROWS_WITH_AS(heads(pass.input(Tensor<double>({2, 3}))), "heads: expected x [..., 12], got [2, 3]", std::invalid_argument);
  const Tensor<double> x = random_tensor<double>({5, 12}, 2);
  const PassOptions clear = clear_of_kinks<double>({&heads.gate}, 5);
  const auto loss = [&](Pass<double>& in) {
    const Var<double> out = heads(in.input(x));
    return mean(out * out);
  };
  CHECK(theta_difference(context, {&heads.gate}, loss, {clear}) < 1e-8);
}

TEST_CASE("unit gates: gradients against differences, used once and twice") {
  Context context(1);
  const Tensor<double> x = random_tensor<double>({5, 9}, 2);
  for (const Rescale rescale : {Rescale::none, Rescale::layer}) {
    nn::Init init{.seed = 3, .gates = {.start_deviation = 0.5}, .rescale = rescale};
    nn::UnitGates<double> units(init, "units1", 9);
    const PassOptions options = clear_of_kinks<double>({&units.gate}, 5);
    const auto once = [&](Pass<double>& pass) {
      const Var<double> y = units(pass.input(x));
      return mean(y * y);
    };
    const auto twice = [&](Pass<double>& pass) {
      const Var<double> y = units(units(pass.input(x)) * pass.input(x));
      return mean(y * y);
    };
    CHECK(theta_difference(context, {&units.gate}, once, {options}) < 1e-8);
    CHECK(theta_difference(context, {&units.gate}, twice, {options}) < 1e-8);
    CHECK(check_gradient(
              context, list(x.clone()), [&](auto&, auto in) { return units(in[0]); }, options) < 1e-8);
  }
}

TEST_CASE("unit gates: names stand in error messages") {
  Context context(1);
  Inference<float> pass(context);
  nn::Init init;
  nn::UnitGates<float> units(init, "units1", 9);
  const Tensor<float> wrong({4, 6}), scalar{Shape{}};
  CHECK(nn::gates(units) == std::vector{&units.gate});
  CHECK_THROWS_WITH_AS(units(pass.input(wrong)), "units1: expected x [..., 9], got [4, 6]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(units(pass.input(scalar)), "units1: expected x [..., 9], got []", std::invalid_argument);
  CHECK_THROWS_WITH_AS(nn::UnitGates<float>(init, "units2", 9, -1), "units2: expected a finite cost of at least 0, got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(nn::UnitGates<float>(init, "units2", 9, 1e39), "units2: expected a finite cost of at least 0, got 1e+39", std::invalid_argument);
}
