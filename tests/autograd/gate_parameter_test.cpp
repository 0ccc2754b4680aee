#include "tombola/autograd/gate_parameter.hpp"

#include <doctest/doctest.h>

#include "support/gates.hpp"
#include "support/tensors.hpp"
#include "tombola/autograd/parameter.hpp"
#include "tombola/gates/gradient.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/gate_penalty.hpp"
#include "tombola/ops/gated_weight.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// loss = sum z w; the gradient by theta is w where the gate is open.
void backward_once(Context& context, GateParameter<float>& gate, std::uint32_t step) {
  Tape<float> tape(context, {.gates = Reading::sampled, .seed = 7, .step = step});
  tape.backward(sum(gated_weight(tape, gate).weight));
}

Tensor<float> gradient_of(const GateParameter<float>& gate, const Tensor<float>& weight, std::uint32_t step) {
  const Tensor<double> x = unclamped_gates(gate, {.gates = Reading::sampled, .seed = 7, .step = step});
  Tensor<float> g(gate.shape());
  for (Index i = 0; i < g.size(); ++i) g[i] = x[i] > 0 && x[i] < 1 ? weight[i] : 0;
  return g;
}

}  // namespace

TEST_CASE("gate parameter: what it says of itself") {
  const Tensor<float> weight = random_tensor<float>({3, 5}, 1);
  GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 2, {3, 5}, weight);
  CHECK(gate.shape() == Shape{3, 5});
  CHECK(gate.size() == 15);
  CHECK(gate.weight_data() == weight.data());
  CHECK(gate.sigma_data() == nullptr);
  CHECK(gate.value_key() != gate.scale_key());
  CHECK_FALSE(gate.pending);
  CHECK_FALSE(gate.has_gradient);
  const GateParameter<float> bare = gates::make_gates<float>({}, "g", 1, 2, {4});
  CHECK(bare.weight_data() == nullptr);
}

TEST_CASE("gate parameter: moving one keeps its arrays where they are") {
  GateParameter<float> gate = gates::make_gates<float>({.sigma_mode = SigmaMode::gate}, "g", 1, 2, {3, 5});
  const float *theta = gate.theta.data(), *sigmas = gate.learned_sigma.sigmas.data();
  const GateParameter<float> moved = std::move(gate);
  CHECK(moved.theta.data() == theta);
  CHECK(moved.sigma_data() == sigmas);
}

TEST_CASE("gate parameter: a backward pass leaves its gradient pending; clear drops it") {
  Context context(1);
  const Tensor<float> weight = random_tensor<float>({7, 11}, 2);
  GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 2, {7, 11}, weight);
  const Tensor<float> theta = gate.theta.clone();
  backward_once(context, gate, 0);
  CHECK(gate.pending);
  CHECK_FALSE(gate.has_gradient);
  CHECK(same_bits(gate.theta, theta));
  CHECK(same_bits(gates::gradient(context, gate), gradient_of(gate, weight, 0)));
  CHECK_FALSE(gate.pending);
  CHECK(gate.has_gradient);
  CHECK(same_bits(gates::gradient(context, gate), gradient_of(gate, weight, 0)));  // looking twice changes nothing
  gate.clear_gradient();
  CHECK_FALSE(gate.has_gradient);
  CHECK(same_bits(gates::gradient(context, gate), Tensor<float>({7, 11})));
}

TEST_CASE("gate parameter: gradients of several passes add up until they are cleared") {
  Context context(1);
  const Tensor<float> weight = random_tensor<float>({7, 11}, 3);
  GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 2, {7, 11}, weight);
  backward_once(context, gate, 0);
  backward_once(context, gate, 1);
  backward_once(context, gate, 2);
  const Tensor<float> a = gradient_of(gate, weight, 0), b = gradient_of(gate, weight, 1),
                      c = gradient_of(gate, weight, 2);
  Tensor<float> expected({7, 11});
  for (Index i = 0; i < expected.size(); ++i) expected[i] = (a[i] + b[i]) + c[i];
  CHECK(same_bits(gates::gradient(context, gate), expected));
  gate.clear_gradient();
  backward_once(context, gate, 1);
  CHECK(same_bits(gates::gradient(context, gate), b));
}

TEST_CASE("gate parameter: a pass that is drawn but not run backwards does not count") {
  Context context(1);
  const Tensor<float> weight = random_tensor<float>({7, 11}, 4);
  GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 2, {7, 11}, weight);
  backward_once(context, gate, 0);
  {
    Tape<float> tape(context, {.gates = Reading::sampled, .seed = 7, .step = 1});
    gated_weight(tape, gate);
  }
  CHECK(same_bits(gates::gradient(context, gate), gradient_of(gate, weight, 0)));
}

TEST_CASE("gate parameter: of several passes drawn, only the last can run backwards") {
  Context context(1);
  GateParameter<float> gate = gates::make_gates<float>({}, "fc1", 1, 2, {7, 11});
  const PassOptions options{.gates = Reading::sampled, .seed = 7, .step = 1};
  Tape<float> first(context, options), second(context, options);
  const Var<float> a = sum(gated_weight(first, gate).weight), b = sum(gated_weight(second, gate).weight);
  CHECK_THROWS_WITH_AS(first.backward(a), "fc1: expected backward before the gates are drawn again", std::logic_error);
  second.backward(b);
  CHECK(same_bits(gates::gradient(context, gate), gradient_of(gate, Tensor<float>::filled({7, 11}, 1), 1)));
}

TEST_CASE("gate parameter: a pass that is refused leaves the gradients of the one that was accepted") {
  Context context(1);
  GateParameter<float> gate = gates::make_gates<float>({}, "fc1", 1, 2, {7, 11});
  Parameter<float> trained(Tensor<float>::filled({7, 11}, 2));
  const PassOptions options{.gates = Reading::sampled, .seed = 7, .step = 1};
  Tape<float> first(context, options), second(context, options);
  const auto loss = [&](Tape<float>& tape, float factor) {
    return sum(gated_weight(tape, gate).weight * tape.input(Tensor<float>::filled({7, 11}, factor)) + parameter_value(tape, trained));
  };
  const Var<float> a = loss(first, 3), b = loss(second, 1);
  second.backward(b);
  const Tensor<float> kept = Tensor<float>::copy_of(trained.gradient);
  CHECK_THROWS_WITH_AS(first.backward(a), "fc1: expected backward before the gates are drawn again", std::logic_error);
  CHECK(same_bits(trained.gradient, kept));
  CHECK(same_bits(gates::gradient(context, gate), gradient_of(gate, Tensor<float>::filled({7, 11}, 1), 1)));
}

TEST_CASE("gate parameter: passes with other readings leave no gradient and disturb none") {
  Context context(1);
  const Tensor<float> weight = random_tensor<float>({7, 11}, 5);
  GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 2, {7, 11}, weight);
  backward_once(context, gate, 0);
  for (const Reading reading : {Reading::relaxed, Reading::above_zero, Reading::binary}) {
    Tape<float> tape(context, {.gates = reading});
    CHECK_FALSE(gated_weight(tape, gate).weight.needs_gradient());
    Inference<float> pass(context, {.gates = Reading::sampled, .seed = 8, .step = 9});
    CHECK_FALSE(gated_weight(pass, gate).weight.needs_gradient());
  }
  CHECK(same_bits(gates::gradient(context, gate), gradient_of(gate, weight, 0)));
}

TEST_CASE("gate parameter: sigma follows log sigma") {
  for (const SigmaMode mode : {SigmaMode::layer, SigmaMode::gate}) {
    GateParameter<double> gate = gates::make_gates<double>({.sigma = 0.3, .sigma_mode = mode}, "g", 1, 2, {5});
    const auto sigma = [&](Index i) { return sigma_of(gate, i); };
    CHECK(sigma(3) == doctest::Approx(0.3).epsilon(1e-15));
    const Tensor<double> before = Tensor<double>::filled({1}, sigma(3));
    gate.update_sigma();
    CHECK(sigma(3) == before[0]);
    gate.learned_sigma.log_sigma[mode == SigmaMode::layer ? 0 : 3] = std::log(0.7);
    gate.update_sigma();
    CHECK(sigma(3) == std::exp(std::log(0.7)));
    CHECK(sigma(2) == (mode == SigmaMode::layer ? sigma(3) : before[0]));
  }
  // A checkpoint holds log sigma alone: it must restore the same bits.
  for (const SigmaMode mode : {SigmaMode::layer, SigmaMode::gate}) {
    for (int percent = 10; percent <= 100; ++percent) {
      GateParameter<float> gate =
          gates::make_gates<float>({.sigma = percent / 100.0, .sigma_mode = mode}, "g", 1, 2, {5});
      const double before = sigma_of(gate, 3);
      gate.update_sigma();
      CHECK(sigma_of(gate, 3) == before);
    }
  }
  GateParameter<float> fixed = gates::make_gates<float>({.sigma = 0.3}, "g", 1, 2, {5});
  Context context(1);
  CHECK_THROWS_WITH_AS(gates::log_sigma_gradient(context, fixed), "g: expected gates with a learned sigma",
                       std::invalid_argument);
}
