#include <doctest/doctest.h>

#include "support/gates.hpp"
#include "support/scalar_adam.hpp"
#include "support/tensors.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/gate_penalty.hpp"
#include "tombola/ops/gated_weight.hpp"
#include "tombola/ops/sum.hpp"
#include "tombola/optim/adam.hpp"

using namespace tombola;
using namespace test_support;

namespace {

const Shape shape{5, 9};

PassOptions options_of_step(int step) {
  return {.gates = Reading::sampled, .seed = 8, .step = static_cast<std::uint32_t>(step)};
}

}  // namespace

TEST_CASE("adam: log sigma against Adam for one number, with the gradient that is tested elsewhere") {
  Context context(1);
  for (const SigmaMode mode : {SigmaMode::layer, SigmaMode::gate}) {
    for (const bool through_penalty : {false, true}) {
      const Tensor<double> weight = random_tensor<double>(shape, 1), slope = random_tensor<double>(shape, 2);
      GateParameter<double> gate = gates::make_gates<double>(
          {.sigma = 0.4, .sigma_mode = mode, .sigma_through_penalty = through_penalty}, "g", 1, 3, shape, weight);
      GateParameter<double>* const all[] = {&gate};
      optim::Adam<double> adam(context, {&gate});
      std::vector<ScalarAdam> reference(static_cast<std::size_t>(gate.learned_sigma.log_sigma.size()));
      Tensor<double> log_sigma = gate.learned_sigma.log_sigma.clone();
      for (int step = 0; step < 20; ++step) {
        Tape<double> tape(context, options_of_step(step));
        const Var<double> task = sum(gated_weight(tape, gate).weight * tape.input(slope));
        tape.backward(task + gate_penalty(tape, all, Penalty::undecided, 0.1));
        const Tensor<double> g = gates::log_sigma_gradient(context, gate);
        for (Index i = 0; i < g.size(); ++i) {
          log_sigma[i] = reference[static_cast<std::size_t>(i)].step(log_sigma[i], g[i], std::log(0.1), 0);
        }
        adam.step();
        CHECK(largest_error(gate.learned_sigma.log_sigma, log_sigma) < 1e-12);
      }
      CHECK(sigma_of(gate, 3) == std::exp(gate.learned_sigma.log_sigma[mode == SigmaMode::gate ? 3 : 0]));
    }
  }
}

TEST_CASE("adam: a learned sigma stays in [.1, 1], whatever drives it") {
  Context context(1);
  for (const SigmaMode mode : {SigmaMode::layer, SigmaMode::gate}) {
    for (const double direction : {-1.0, 1.0}) {
      GateParameter<float> gate = gates::make_gates<float>({.sigma_mode = mode}, "g", 1, 3, shape);
      optim::Adam<float> adam(context, {&gate}, {.rate = 0.3});
      for (int step = 0; step < 50; ++step) {
        // dz/dsigma is the noise where the gate is open: a gradient of the noise's sign drives every width one way.
        const auto noise = gate_noise(gate, options_of_step(step));
        Tensor<float> dz(shape);
        for (Index i = 0; i < dz.size(); ++i)
          dz[i] = static_cast<float>(direction) * noise[static_cast<std::size_t>(i)];
        Tape<float> tape(context, options_of_step(step));
        tape.backward(gated_weight(tape, gate).weight, dz);
        adam.step();
        for (Index i = 0; i < gate.size(); ++i) {
          // exp(log .1) may be the float beside .1.
          REQUIRE(sigma_of(gate, i) >= 0.1 * (1 - 1e-6));
          REQUIRE(sigma_of(gate, i) <= 1);
        }
      }
      if (mode == SigmaMode::layer) CHECK(sigma_of(gate, 0) == doctest::Approx(direction > 0 ? 0.1 : 1).epsilon(1e-6));
    }
  }
}

TEST_CASE("adam: without a gradient sigma stays, and with a penalty alone it does unless it asks for it") {
  Context context(1);
  for (const bool through_penalty : {false, true}) {
    GateParameter<float> gate = gates::make_gates<float>(
        {.sigma_mode = SigmaMode::layer, .sigma_through_penalty = through_penalty}, "g", 1, 3, shape);
    GateParameter<float>* const all[] = {&gate};
    const float sigma = gate.sigma;
    optim::Adam<float> adam(context, {&gate});
    adam.step();
    CHECK(gate.sigma == sigma);
    Tape<float> tape(context);
    tape.backward(gate_penalty(tape, all, Penalty::undecided, 1));
    adam.step();
    CHECK((gate.sigma == sigma) != through_penalty);
  }
}
