#include "tombola/optim/adam.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "support/gates.hpp"
#include "support/scalar_adam.hpp"
#include "support/tensors.hpp"
#include "tombola/autograd/parameter.hpp"
#include "tombola/nn/weight_sources.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/gate_penalty.hpp"
#include "tombola/ops/gated_weight.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

// Adam takes gates, and nothing else: no code path trains a frozen weight.
static_assert(std::is_constructible_v<optim::Adam<float>, Context&, std::vector<GateParameter<float>*>>);
static_assert(!std::is_constructible_v<optim::Adam<float>, Context&, std::vector<Parameter<float>*>>);
static_assert(!std::is_constructible_v<optim::Adam<float>, Context&, std::vector<nn::FrozenTensor<float>*>>);
static_assert(!std::is_constructible_v<optim::Adam<float>, Context&, std::vector<Tensor<float>*>>);
static_assert(!std::is_constructible_v<optim::Adam<float>, Context&, std::vector<GateParameter<double>*>>);

namespace {

const Shape shape{7, 9};

template <class T>
GateParameter<T> some_gates(GateKind kind, View<const T> weight) {
  GateParameter<T> gate = gates::make_gates<T>({.kind = kind, .start_deviation = 0.6}, "g", 1, 3, shape, weight);
  gate.cost = T(1.5);
  return gate;
}

/// d loss / d (z w): different in every step, and large enough that gates reach their bounds.
template <class T>
Tensor<T> slope_of_step(int step) {
  return random_tensor<T>(shape, static_cast<std::uint32_t>(100 + step % 3), -1, 0.6);
}

PassOptions options_of_step(int step) {
  return {.gates = Reading::sampled, .seed = 8, .step = static_cast<std::uint32_t>(step)};
}

/// One backward pass of loss = sum slope z w + lambda penalty.
template <class T>
void backward(Context& context, GateParameter<T>& gate, int step, Penalty penalty, T lambda) {
  Tape<T> tape(context, options_of_step(step));
  const Tensor<T> slope = slope_of_step<T>(step);
  const Var<T> task = sum(gated_weight(tape, gate).weight * tape.input(slope));
  GateParameter<T>* const all[] = {&gate};
  tape.backward(lambda == T(0) ? task : task + gate_penalty(tape, all, penalty, lambda));
}

/// d penalty / d theta by differences of the definition; the error is of order 1e-11.
double penalty_slope(GateKind kind, Penalty penalty, double theta, double sigma) {
  const double h = 1e-3;
  const auto p = [&](double x) { return penalty_of(kind, penalty, theta + x, sigma); };
  return (8 * (p(h) - p(-h)) - (p(2 * h) - p(-2 * h))) / (12 * h);
}

template <class T>
void check_against_scalar_adam(GateKind kind, Penalty penalty, double lambda, double tolerance) {
  Context context(1);
  const Tensor<T> weight = random_tensor<T>(shape, 1, 0.5, 1.5);
  GateParameter<T> gate = some_gates<T>(kind, weight);
  optim::Adam<T> adam(context, {&gate});
  std::vector<ScalarAdam> reference(63);
  Tensor<double> theta = converted<double>(gate.theta);
  Index at_bounds = 0;
  for (int step = 0; step < 20; ++step) {
    backward(context, gate, step, penalty, static_cast<T>(lambda));
    const Tensor<double> x = unclamped_gates(gate, options_of_step(step));
    const Tensor<T> slope = slope_of_step<T>(step);
    for (Index i = 0; i < 63; ++i) {
      double dz = 0;
      if (x[i] > 0 && x[i] < 1) {
        const double s = (x[i] + 0.1) / 1.2;
        dz = kind == GateKind::gaussian ? 1 : 1.2 * 1.5 * s * (1 - s);
      }
      const double g = static_cast<double>(slope[i]) * static_cast<double>(weight[i]) * dz +
                       lambda * 1.5 * penalty_slope(kind, penalty, static_cast<double>(gate.theta[i]), 0.5);
      theta[i] = reference[static_cast<std::size_t>(i)].step(theta[i], g, static_cast<double>(gate.low),
                                                             static_cast<double>(gate.high));
    }
    adam.step();
    CHECK(largest_error(gate.theta, theta) < tolerance);
  }
  for (const double v : theta) at_bounds += v == static_cast<double>(gate.low) || v == static_cast<double>(gate.high);
  if (kind == GateKind::gaussian) CHECK(at_bounds > 5);  // the bounds were at work
  CHECK(adam.steps() == 20);
}

}  // namespace

TEST_CASE("adam: twenty steps against Adam for one number, in double") {
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    check_against_scalar_adam<double>(kind, Penalty::none, 0, 1e-12);
    // The differences of the penalty are good to 1e-11; Adam divides by gradients that may be small.
    for (const Penalty penalty : {Penalty::sparse, Penalty::undecided, Penalty::variance, Penalty::entropy}) {
      check_against_scalar_adam<double>(kind, penalty, 0.2, 1e-7);
    }
  }
}

TEST_CASE("adam: twenty steps against Adam for one number, in float") {
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    check_against_scalar_adam<float>(kind, Penalty::none, 0, 1e-5);
    check_against_scalar_adam<float>(kind, Penalty::sparse, 0.2, 1e-4);
  }
}

TEST_CASE("adam: the fused step and the step on an explicit gradient agree") {
  const auto compare = [](auto zero, GateKind kind, double lambda, double tolerance) {
    using T = decltype(zero);
    Context context(1);
    const Tensor<T> weight = random_tensor<T>(shape, 1, 0.5, 1.5);
    GateParameter<T> fused = some_gates<T>(kind, weight), unfused = some_gates<T>(kind, weight);
    optim::Adam<T> fused_adam(context, {&fused}), unfused_adam(context, {&unfused});
    for (int step = 0; step < 20; ++step) {
      backward(context, fused, step, Penalty::sparse, static_cast<T>(lambda));
      backward(context, unfused, step, Penalty::sparse, static_cast<T>(lambda));
      gates::make_explicit(1, unfused);
      CHECK_FALSE(unfused.pending);
      CHECK(fused.pending);
      fused_adam.step();
      unfused_adam.step();
    }
    if (tolerance == 0) {
      CHECK(same_bits(fused.theta, unfused.theta));
      CHECK(same_bits(fused.v, unfused.v));
    } else {
      CHECK(largest_error(unfused.theta, converted<double>(fused.theta)) < tolerance);
    }
  };
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    compare(double(), kind, 0, 0);
    compare(float(), kind, 0, 0);
    // With a penalty one path rounds the sum of both gradients once, the other twice: a unit in the last place a step, times the
    // amplification where a gradient is small.
    compare(double(), kind, 0.2, 1e-12);
    compare(float(), kind, 0.2, 1e-4);
  }
}

TEST_CASE("adam: gradients of several passes add up into one step") {
  Context context(1);
  const Tensor<double> weight = random_tensor<double>(shape, 1, 0.5, 1.5);
  GateParameter<double> gate = some_gates<double>(GateKind::gaussian, weight),
                        parts = some_gates<double>(GateKind::gaussian, weight);
  backward(context, gate, 0, Penalty::sparse, 0.2);
  backward(context, gate, 1, Penalty::sparse, 0.1);
  backward(context, parts, 0, Penalty::sparse, 0.2);
  Tensor<double> g = gates::gradient(context, parts);
  parts.clear_gradient();
  backward(context, parts, 1, Penalty::sparse, 0.1);
  const Tensor<double> more = gates::gradient(context, parts);
  Tensor<double> expected(shape);
  for (Index i = 0; i < 63; ++i) expected[i] = ScalarAdam{}.step(gate.theta[i], g[i] + more[i], -1, 1.25);
  optim::Adam<double>(context, {&gate}).step();
  CHECK(largest_error(gate.theta, expected) < 1e-12);
}

TEST_CASE("adam: gates without any gradient stay; a penalty alone moves them") {
  Context context(1);
  const Tensor<float> weight = random_tensor<float>(shape, 1);
  GateParameter<float> gate = some_gates<float>(GateKind::gaussian, weight);
  std::fill_n(gate.m.data(), gate.size(), 1.0f);
  std::fill_n(gate.v.data(), gate.size(), 1.0f);
  const Tensor<float> theta = gate.theta.clone(), m = gate.m.clone();
  optim::Adam<float> adam(context, {&gate});
  adam.step();
  CHECK(same_bits(gate.theta, theta));
  CHECK(same_bits(gate.m, m));
  CHECK(adam.steps() == 1);
  {
    GateParameter<float>* const all[] = {&gate};
    Tape<float> tape(context);
    tape.backward(gate_penalty(tape, all, Penalty::sparse, 1));
  }
  adam.step();
  CHECK_FALSE(same_bits(gate.theta, theta));
  const Tensor<float> after = gate.theta.clone();
  adam.step();  // the gradients were cleared
  CHECK(same_bits(gate.theta, after));
}

TEST_CASE("adam: a run that is continued has the same bits as one that was not interrupted") {
  Context context(1);
  const Tensor<float> weight = random_tensor<float>(shape, 1, 0.5, 1.5);
  GateParameter<float> whole = some_gates<float>(GateKind::gaussian, weight),
                       halves = some_gates<float>(GateKind::gaussian, weight);
  const auto run = [&](GateParameter<float>& gate, optim::Adam<float>& adam, int first, int last) {
    for (int step = first; step < last; ++step) {
      adam.set_rate(0.05 * (10 - step) / 10);
      backward(context, gate, step, Penalty::sparse, 0.2f);
      adam.step();
    }
  };
  optim::Adam<float> adam(context, {&whole}), before(context, {&halves}), after(context, {&halves});
  run(whole, adam, 0, 10);
  run(halves, before, 0, 4);
  after.set_steps(before.steps());
  run(halves, after, 4, 10);
  CHECK(same_bits(whole.theta, halves.theta));
  CHECK(after.steps() == 10);
  CHECK(after.gates() == std::vector{&halves});
}

TEST_CASE("adam: a rate of 0 moves the moments alone") {
  Context context(1);
  const Tensor<float> weight = random_tensor<float>(shape, 1, 0.5, 1.5);
  GateParameter<float> gate = some_gates<float>(GateKind::gaussian, weight);
  const Tensor<float> theta = gate.theta.clone();
  optim::Adam<float> adam(context, {&gate});
  adam.set_rate(0);
  CHECK_THROWS_WITH_AS(adam.set_rate(NAN), "adam: expected a finite rate of at least 0, got nan", std::invalid_argument);  // and it stays
  backward(context, gate, 0, Penalty::sparse, 0.2f);
  adam.step();
  CHECK(same_bits(gate.theta, theta));
  CHECK_FALSE(same_bits(gate.m, Tensor<float>(shape)));
}

TEST_CASE("adam: moments never become denormal numbers") {
  Context context(1);
  for (const double beta2 : {0.999, 0.9}) {
    for (const bool explicit_gradient : {false, true}) {
      const Tensor<float> weight = Tensor<float>::filled({77}, 1);
      GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 3, {77}, weight);
      // From 1 down to where floats end, so that with any decay some cross the limit between normal and denormal.
      for (Index i = 0; i < 77; ++i) {
        gate.m[i] = (i % 2 == 0 ? 1.0f : -1.0f) * std::pow(10.0f, -static_cast<float>(i) / 2);
        gate.v[i] = std::pow(10.0f, -static_cast<float>(i) / 2);
      }
      optim::Adam<float> adam(context, {&gate}, {.beta2 = beta2});
      const Tensor<float> nothing({77});
      const auto normal = [](float v) { return v == 0 || std::isnormal(v); };
      for (int step = 0; step < 2000; ++step) {
        Tape<float> tape(context, options_of_step(step));
        tape.backward(gated_weight(tape, gate).weight, nothing);
        if (explicit_gradient) gates::make_explicit(1, gate);
        adam.step();
        REQUIRE(std::all_of(gate.m.begin(), gate.m.end(), normal));
        REQUIRE(std::all_of(gate.v.begin(), gate.v.end(), normal));
      }
      CHECK(std::all_of(gate.m.begin(), gate.m.end(), [](float m) { return m == 0; }));
      CHECK(std::all_of(gate.v.begin() + (beta2 == 0.9 ? 0 : 60), gate.v.end(), [](float v) { return v == 0; }));
      CHECK((gate.v[0] > 0) == (beta2 == 0.999));
      CHECK(std::all_of(gate.theta.begin(), gate.theta.end(), [](float x) { return std::isfinite(x); }));
    }
  }
}

TEST_CASE("adam: tiny gradients leave no denormal moments") {
  Context context(1);
  const Tensor<float> weight = Tensor<float>::filled({77}, 1);
  GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 3, {77}, weight);
  Tensor<float> tiny({77});
  for (Index i = 0; i < 77; ++i) tiny[i] = std::pow(10.0f, -static_cast<float>(i) / 2);
  optim::Adam<float> adam(context, {&gate});
  for (int step = 0; step < 20; ++step) {
    Tape<float> tape(context, options_of_step(step));
    tape.backward(gated_weight(tape, gate).weight, tiny);
    adam.step();
  }
  const auto normal = [](float v) { return v == 0 || std::isnormal(v); };
  CHECK(std::all_of(gate.m.begin(), gate.m.end(), normal));
  CHECK(std::all_of(gate.v.begin(), gate.v.end(), normal));
  CHECK(std::all_of(gate.theta.begin(), gate.theta.end(), [](float x) { return x >= -1 && x <= 1.25f; }));
}

TEST_CASE("adam: the same bits for any number of threads") {
  const Shape large{61, 803};  // six chunks of 8192
  const Tensor<float> weight = random_tensor<float>(large, 2), slope = random_tensor<float>(large, 3);
  for (const bool explicit_gradient : {false, true}) {
    const auto run = [&](int threads) {
      Context context(threads);
      GateParameter<float> gate = gates::make_gates<float>({.sigma_mode = SigmaMode::gate}, "g", 1, 3, large, weight);
      optim::Adam<float> adam(context, {&gate});
      GateParameter<float>* const all[] = {&gate};
      for (int step = 0; step < 3; ++step) {
        Tape<float> tape(context, options_of_step(step));
        const Var<float> task = sum(gated_weight(tape, gate).weight * tape.input(slope));
        tape.backward(task + gate_penalty(tape, all, Penalty::entropy, 0.1f));
        if (explicit_gradient) gates::make_explicit(threads, gate);
        adam.step();
      }
      return std::pair(std::move(gate.theta), std::move(gate.learned_sigma.sigmas));
    };
    const auto one = run(1);
    for (const int threads : thread_counts) {
      const auto many = run(threads);
      CHECK(same_bits(one.first, many.first));
      CHECK(same_bits(one.second, many.second));
    }
  }
}

TEST_CASE("adam: options out of range are refused") {
  Context context(1);
  const auto make = [&](const optim::AdamOptions& options) { optim::Adam<float>(context, {}, options); };
  CHECK_NOTHROW(make({}));
  CHECK_THROWS_WITH_AS(make({.rate = -1}), "adam: expected a finite rate of at least 0, got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.rate = INFINITY}), "adam: expected a finite rate of at least 0, got inf", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.rate = NAN}), "adam: expected a finite rate of at least 0, got nan", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.beta1 = 1}), "adam: expected betas in [0, 1) in the type of the gates, got 1 and 0.999", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.beta1 = -0.5}), "adam: expected betas in [0, 1) in the type of the gates, got -0.5 and 0.999",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.beta2 = 1}), "adam: expected betas in [0, 1) in the type of the gates, got 0.9 and 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.beta2 = -0.5}), "adam: expected betas in [0, 1) in the type of the gates, got 0.9 and -0.5",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.epsilon = 0}), "adam: expected a finite epsilon above 0, got 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.epsilon = INFINITY}), "adam: expected a finite epsilon above 0, got inf", std::invalid_argument);
  // As floats infinite, 0 and 1; as doubles they are in order.
  CHECK_THROWS_WITH_AS(make({.rate = 1e39}), "adam: expected a finite rate of at least 0, got 1e+39", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.epsilon = 1e-46}), "adam: expected a finite epsilon above 0, got 1e-46", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.beta2 = 1 - 1e-9}), "adam: expected betas in [0, 1) in the type of the gates, got 0.9 and 1", std::invalid_argument);
  CHECK_NOTHROW(optim::Adam<double>(context, {}, {.beta2 = 1 - 1e-9, .epsilon = 1e-46}));
}
