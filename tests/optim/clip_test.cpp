#include "tombola/optim/clip.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "support/gates.hpp"
#include "support/tensors.hpp"
#include "support/worst.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/gate_penalty.hpp"
#include "tombola/ops/gated_weight.hpp"
#include "tombola/ops/sum.hpp"
#include "tombola/optim/adam.hpp"

using namespace tombola;
using namespace test_support;

namespace {

const Shape shape{7, 9};

/// Two gate layers, one with learned widths, and a trained weight, after a backward pass with a penalty.
template <class T>
struct Learned {
  Tensor<T> weight = random_tensor<T>(shape, 1);
  GateParameter<T> plain = gates::make_gates<T>({}, "plain", 1, 3, shape, weight);
  GateParameter<T> wide = gates::make_gates<T>({.sigma_mode = SigmaMode::gate}, "wide", 1, 4, shape, weight);
  GateParameter<T> untouched = gates::make_gates<T>({}, "untouched", 1, 5, shape, weight);
  Parameter<T> trained{random_tensor<T>(shape, 2)};

  std::vector<GateParameter<T>*> gates() { return {&plain, &wide, &untouched}; }

  void backward(Context& context, T scale = T(1)) {
    Tape<T> tape(context, {.gates = Reading::sampled, .seed = 8});
    const Var<T> product = gated_weight(tape, plain).weight * tape.input(random_tensor<T>(shape, 3)) +
                           gated_weight(tape, wide).weight * parameter_value(tape, trained);
    GateParameter<T>* const all[] = {&plain, &wide};
    const Tensor<T> factor = random_tensor<T>({}, 4, static_cast<double>(scale), static_cast<double>(scale));
    tape.backward(sum(product) * tape.input(factor) + gate_penalty(tape, all, Penalty::sparse, T(0.2)));
  }
  /// All gradients of the loss, as the optimisers would see them.
  std::vector<double> gradients(Context& context) {
    std::vector<double> values;
    const auto add = [&values](const Tensor<T>& from) { values.insert(values.end(), from.begin(), from.end()); };
    for (GateParameter<T>* gate : {&plain, &wide}) {
      gates::make_explicit(context.threads(), *gate);
      add(gate->gradient);
    }
    add(wide.sigma_gradient);
    add(trained.gradient);
    return values;
  }
};

double norm_of(const std::vector<double>& values) {
  double squares = 0;
  for (const double v : values) squares += v * v;
  return std::sqrt(squares);
}

template <class T>
void check_clipping(double tolerance) {
  Context context(2);
  Learned<T> reference, clipped;
  reference.backward(context);
  clipped.backward(context);
  const std::vector<double> before = reference.gradients(context);
  const double norm = norm_of(before);
  CHECK(norm > 1);
  CHECK(optim::clip_gradients<T>(context, clipped.gates(), {&clipped.trained}, 0.5) == doctest::Approx(norm).epsilon(tolerance));
  const std::vector<double> after = clipped.gradients(context);
  CHECK(norm_of(after) == doctest::Approx(0.5).epsilon(tolerance));
  double worst = 0;
  for (std::size_t i = 0; i < before.size(); ++i) test::widen(worst, std::abs(after[i] - before[i] * 0.5 / norm));
  CHECK(worst < tolerance);
  CHECK_FALSE(clipped.untouched.has_gradient);
  // The penalty's part is as it was: what `gradient` adds to the loss's.
  const Tensor<T> whole = gates::gradient(context, clipped.plain), whole_before = gates::gradient(context, reference.plain);
  for (Index i = 0; i < whole.size(); ++i) {
    CHECK(whole[i] - clipped.plain.gradient[i] == doctest::Approx(whole_before[i] - reference.plain.gradient[i]).epsilon(1e-4));
  }
}

}  // namespace

TEST_CASE("clip_gradients: gradients of all gates and weights, scaled together to the largest norm") {
  check_clipping<double>(1e-12);
  check_clipping<float>(1e-5);  // sums of 252 squares in float
}

TEST_CASE("clip_gradients: shorter gradients keep their bits, and so does the step") {
  Context context(1);
  Learned<float> alone, clipped;
  optim::Adam<float> adam_alone(context, alone.gates()), adam_clipped(context, clipped.gates());
  for (int step = 0; step < 3; ++step) {
    alone.backward(context);
    clipped.backward(context);
    for (auto* gate : alone.gates()) gates::make_explicit(1, *gate);
    const double norm = optim::clip_gradients<float>(context, clipped.gates(), {}, 1e3);
    CHECK(norm < 1e3);
    adam_alone.step();
    adam_clipped.step();
    CHECK(same_bits(alone.plain.theta, clipped.plain.theta));
    CHECK(same_bits(alone.wide.learned_sigma.log_sigma, clipped.wide.learned_sigma.log_sigma));
  }
  CHECK(optim::clip_gradients<float>(context, clipped.gates(), {}, 1) == 0);  // after a step there are none
}

TEST_CASE("clip_gradients: the same bits for any number of threads") {
  std::vector<double> first;
  for (const int threads : thread_counts) {
    Context context(threads);
    const Tensor<float> weight = random_tensor<float>({300, 200}, 1);
    GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 3, weight.shape(), weight);
    Tape<float> tape(context, {.gates = Reading::sampled, .seed = 8});
    tape.backward(sum(gated_weight(tape, gate).weight * tape.input(random_tensor<float>(weight.shape(), 2))));
    const double norm = optim::clip_gradients<float>(context, {&gate}, {}, 1);
    std::vector<double> now{norm};
    now.insert(now.end(), gate.gradient.begin(), gate.gradient.end());
    if (first.empty()) first = now;
    CHECK(now == first);
  }
}

TEST_CASE("clip_gradients: refusals") {
  Context context(1);
  Learned<float> learned;
  learned.backward(context);
  for (const double largest : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_THROWS_WITH_AS(optim::clip_gradients<float>(context, learned.gates(), {}, largest),
                         concat("clip_gradients: expected a largest norm above 0, got ", largest).c_str(), std::invalid_argument);
  }
  learned.backward(context, std::numeric_limits<float>::infinity());
  CHECK_THROWS_WITH_AS(optim::clip_gradients<float>(context, learned.gates(), {}, 1), doctest::Contains("clip_gradients: expected a gradient of finite norm for plain, got"),
                       std::runtime_error);
}
