#include <doctest/doctest.h>

#include <numeric>

#include "support/gate_gradients.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/gated_weight.hpp"
#include "tombola/ops/linear.hpp"
#include "tombola/ops/scale.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr Rescale rescales[] = {Rescale::neuron, Rescale::layer, Rescale::none};  // in this order nothing of one may linger
constexpr Penalty penalties[] = {Penalty::none, Penalty::sparse, Penalty::undecided, Penalty::variance,
                                 Penalty::entropy};

GateParameter<double> some_gates(GateKind kind, const Shape& shape, View<const double> weight,
                                 std::uint32_t seed = 21) {
  GateParameter<double> gate = gates::make_gates<double>({.kind = kind}, "g", 1, 3, shape, weight);
  const bool gaussian = kind == GateKind::gaussian;
  gate.theta = random_tensor<double>(shape, seed, gaussian ? -0.3 : -2, gaussian ? 1.2 : 2);
  return gate;
}

/// mean (s x W^T)^2, with the penalty: every part of a gate's gradient depends on every gate.
GateLoss layer_loss(GateParameter<double>& gate, const Tensor<double>& x, Rescale rescale,
                    Penalty penalty = Penalty::none) {
  return [&gate, &x, rescale, penalty](Pass<double>& pass) {
    const auto [w, s] = gated_weight(pass, gate, rescale);
    Var<double> y = linear(pass.input(x), w);
    if (s) y = scale(y, s);
    Var<double> loss = mean(y * y);
    if (penalty == Penalty::none) return loss;
    GateParameter<double>* const all[] = {&gate};
    return loss + gate_penalty(pass, all, penalty, 0.05);
  };
}

void check_layers(GateKind kind, bool weighted) {
  Context context(1);
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 5}, Shape{7, 9}, Shape{5, 31}}) {
    const Tensor<double> weight = random_tensor<double>(shape, 22, 0.5, 1.5),
                         x = random_tensor<double>({3, shape[1]}, 23);
    GateParameter<double> gate = some_gates(kind, shape, weighted ? View<const double>(weight) : View<const double>());
    const PassOptions options = clear_of_kinks<double>({&gate}, 5);
    for (const Rescale rescale : rescales) {
      for (const Penalty penalty : penalties) {
        CAPTURE(shape);
        CAPTURE(static_cast<int>(rescale));
        CAPTURE(static_cast<int>(penalty));
        CHECK(theta_difference(context, {&gate}, layer_loss(gate, x, rescale, penalty), {options}) < 1e-8);
      }
    }
  }
}

}  // namespace

TEST_CASE("gated_weight: gradients against differences, Gaussian over a weight") {
  check_layers(GateKind::gaussian, true);
}
TEST_CASE("gated_weight: gradients against differences, Gaussian alone") { check_layers(GateKind::gaussian, false); }
TEST_CASE("gated_weight: gradients against differences, hard-concrete over a weight") {
  check_layers(GateKind::hard_concrete, true);
}
TEST_CASE("gated_weight: gradients against differences, hard-concrete alone") {
  check_layers(GateKind::hard_concrete, false);
}

TEST_CASE("gated_weight: the gradient by hand") {
  // z = clamp(theta + sigma n): with sigma tiny the draw is theta, so the middle gate alone is open.
  Context context(1);
  const Tensor<double> weight({3}, {2, -4, 8}), dy({3}, {10, 100, 1000});
  GateParameter<double> gate = gates::make_gates<double>({.sigma = 1e-6}, "g", 1, 3, {3}, weight);
  gate.theta = Tensor<double>({3}, {-0.5, 0.5, 1.5});
  Tape<double> tape(context);
  tape.backward(gated_weight(tape, gate).weight, dy);
  CHECK(same_bits(gates::gradient(context, gate), Tensor<double>({3}, {0, -400, 0})));
}

TEST_CASE("gated_weight: the gradient flows as far as the gates reach") {
  Context context(1);
  const Tensor<double> ones = Tensor<double>::filled({5}, 1);
  for (const auto& [reach, expected] : {std::pair{0.0, Tensor<double>({5}, {0, 0, 1, 0, 0})}, {0.25, Tensor<double>({5}, {0, 1, 1, 1, 0})},
                                        {1.0, Tensor<double>({5}, {1, 1, 1, 1, 1})}}) {
    GateParameter<double> gate = gates::make_gates<double>({.sigma = 1e-6, .reach = reach}, "g", 1, 3, {5}, ones);
    gate.theta = Tensor<double>({5}, {-0.5, -0.1, 0.5, 1.1, 1.5});
    Tape<double> tape(context);
    tape.backward(gated_weight(tape, gate).weight, ones);
    CHECK(same_bits(gates::gradient(context, gate), expected));
  }
}

TEST_CASE("gated_weight: where the factor is capped it passes no gradient on") {
  // sum z < 1, so s = sqrt(n / 1) does not depend on the gates, whatever n; one gate is open, by .3.
  Context context(1);
  for (Index n = 1; n <= 300; ++n) {
    for (const Rescale rescale : {Rescale::layer, Rescale::neuron}) {
      const Tensor<double> weight = Tensor<double>::filled({2, n}, 1), dy = Tensor<double>::filled({1, 2}, 1);
      GateParameter<double> gate = gates::make_gates<double>({.sigma = 1e-6}, "g", 1, 3, {2, n}, weight);
      std::fill_n(gate.theta.data(), gate.size(), -0.5);
      gate.theta[0] = 0.3;
      const Tensor<double> x = Tensor<double>::filled({1, n}, 1);
      Tape<double> tape(context);
      const auto [w, s] = gated_weight(tape, gate, rescale);
      const double factor = s.value()[0];
      tape.backward(scale(linear(tape.input(x), w), s), dy);
      const Tensor<double> got = gates::gradient(context, gate);
      REQUIRE(got[0] == factor);
      REQUIRE(std::all_of(got.begin() + 1, got.end(), [](double g) { return g == 0; }));
    }
  }
}

TEST_CASE("gated_weight: where the factor is capped, against differences") {
  Context context(1);
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    const Tensor<double> weight = random_tensor<double>({3, 17}, 24, 0.5, 1.5), x = random_tensor<double>({3, 17}, 25);
    GateParameter<double> gate = some_gates(kind, {3, 17}, weight);
    for (double& theta : gate.theta) theta -= kind == GateKind::gaussian ? 1.6 : 6;
    PassOptions options;
    double sum = 0;
    for (std::uint32_t step = 0; step < 1000 && (sum < 0.2 || sum > 0.9); step = options.step + 1) {
      options = clear_of_kinks<double>({&gate}, 5, step);
      const Tensor<double> z = gate_values(gate, options);
      sum = std::accumulate(z.begin(), z.end(), 0.0);
    }
    REQUIRE(sum >= 0.2);
    REQUIRE(sum <= 0.9);
    for (const Rescale rescale : rescales) {
      CHECK(theta_difference(context, {&gate}, layer_loss(gate, x, rescale), {options}) < 1e-8);
    }
  }
}

TEST_CASE("gated_weight: a loss of the factor alone, against differences") {
  Context context(1);
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    for (const bool weighted : {true, false}) {
      const Tensor<double> weight = random_tensor<double>({3, 17}, 24, 0.5, 1.5), dy = random_tensor<double>({3}, 26, 0.5, 1.5);
      GateParameter<double> gate = some_gates(kind, {3, 17}, weighted ? View<const double>(weight) : View<const double>());
      const PassOptions options = clear_of_kinks<double>({&gate}, 5);
      for (const Rescale rescale : {Rescale::layer, Rescale::neuron}) {
        const GateLoss loss = [&](Pass<double>& pass) {
          const Var<double> s = gated_weight(pass, gate, rescale).scale;
          return rescale == Rescale::layer ? sum(s * s) : sum(s * pass.input(dy));
        };
        CHECK(theta_difference(context, {&gate}, loss, {options}) < 1e-8);
        const auto both = [&](Pass<double>& pass) { return loss(pass) + layer_loss(gate, weight, rescale)(pass); };
        CHECK(theta_difference(context, {&gate}, both, {options, options}) < 1e-8);
      }
    }
  }
}

TEST_CASE("gated_weight: a layer used twice in one pass") {
  Context context(1);
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    for (const Rescale rescale : rescales) {
      const Tensor<double> weight = random_tensor<double>({7, 7}, 26), x = random_tensor<double>({3, 7}, 27);
      GateParameter<double> gate = some_gates(kind, {7, 7}, weight);
      const auto loss = [&](Pass<double>& pass) {
        const auto layer = [&](const Var<double>& in) {
          const auto [w, s] = gated_weight(pass, gate, rescale);
          const Var<double> y = linear(in, w);
          return s ? scale(y, s) : y;
        };
        const Var<double> y = layer(layer(pass.input(x)));
        return mean(y * y);
      };
      CHECK(theta_difference(context, {&gate}, loss, {clear_of_kinks<double>({&gate}, 5)}) < 1e-8);
    }
  }
}

TEST_CASE("gated_weight: several backward passes before a step add up, penalties too") {
  Context context(1);
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    for (const Rescale rescale : rescales) {
      const Tensor<double> weight = random_tensor<double>({5, 9}, 28), x = random_tensor<double>({3, 9}, 29);
      GateParameter<double> gate = some_gates(kind, {5, 9}, weight);
      std::vector<PassOptions> passes;
      for (std::uint32_t step = 0; passes.size() < 3; step = passes.back().step + 1) {
        passes.push_back(clear_of_kinks<double>({&gate}, 5, step));
      }
      CHECK(theta_difference(context, {&gate}, layer_loss(gate, x, rescale, Penalty::sparse), passes) < 1e-8);
    }
  }
}

TEST_CASE("gated_weight: structured gates on the outputs, and two layers at once") {
  Context context(1);
  const Tensor<double> weight = random_tensor<double>({5, 7}, 30), x = random_tensor<double>({3, 7}, 31);
  GateParameter<double> inner = some_gates(GateKind::gaussian, {5, 7}, weight, 32);
  GateParameter<double> outer = some_gates(GateKind::hard_concrete, {5}, {}, 33);
  outer.id = 9;
  outer.cost = 7;
  const auto loss = [&](Pass<double>& pass) {
    const auto [w, s] = gated_weight(pass, inner, Rescale::layer);
    const auto [z, units] = gated_weight(pass, outer, Rescale::layer);
    const Var<double> y = scale(scale(linear(pass.input(x), w), s), scale(z, units));
    GateParameter<double>* const all[] = {&inner, &outer};
    return mean(y * y * y) + gate_penalty(pass, all, Penalty::variance, 0.05);
  };
  CHECK(theta_difference(context, {&inner, &outer}, loss, {clear_of_kinks<double>({&inner, &outer}, 5)}) < 1e-8);
}

TEST_CASE("gated_weight: float gradients against double") {
  // Float gates draw the same noise, so they differ by rounding alone.
  Context context(1);
  const Tensor<float> weight = random_tensor<float>({7, 9}, 34), x = random_tensor<float>({3, 9}, 35);
  const Tensor<double> wide_weight = converted<double>(weight), wide_x = converted<double>(x);
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    for (const Rescale rescale : rescales) {
      GateParameter<float> narrow = gates::make_gates<float>({.kind = kind}, "g", 1, 3, {7, 9}, weight);
      GateParameter<double> wide = gates::make_gates<double>({.kind = kind}, "g", 1, 3, {7, 9}, wide_weight);
      wide.theta = converted<double>(narrow.theta);
      const PassOptions options = clear_of_kinks<double>({&wide}, 6);
      backward_passes(context, layer_loss(wide, wide_x, rescale, Penalty::entropy), {options});
      {
        Tape<float> tape(context, options);
        const auto [w, s] = gated_weight(tape, narrow, rescale);
        Var<float> y = linear(tape.input(x), w);
        if (s) y = scale(y, s);
        GateParameter<float>* const all[] = {&narrow};
        tape.backward(mean(y * y) + gate_penalty(tape, all, Penalty::entropy, 0.05));
      }
      CHECK(largest_error(gates::gradient(context, narrow), gates::gradient(context, wide)) < 2e-6);
    }
  }
}
