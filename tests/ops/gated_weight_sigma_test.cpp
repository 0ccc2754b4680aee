#include <doctest/doctest.h>

#include "support/gate_gradients.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/gated_weight.hpp"
#include "tombola/ops/linear.hpp"
#include "tombola/ops/scale.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr SigmaMode modes[] = {SigmaMode::layer, SigmaMode::gate};
constexpr Rescale rescales[] = {Rescale::none, Rescale::layer, Rescale::neuron};
constexpr Penalty penalties[] = {Penalty::sparse, Penalty::undecided, Penalty::variance, Penalty::entropy};

/// Gates with learned widths around .4; where each gate has its own they are all different.
GateParameter<double> learned(SigmaMode mode, const Shape& shape, View<const double> weight,
                              bool through_penalty = false) {
  const gates::GateOptions options{.sigma = 0.4, .sigma_mode = mode, .sigma_through_penalty = through_penalty};
  GateParameter<double> gate = gates::make_gates<double>(options, "g", 1, 3, shape, weight);
  gate.theta = random_tensor<double>(shape, 41, -0.3, 1.2);
  if (mode == SigmaMode::gate) gate.learned_sigma.log_sigma = random_tensor<double>({gate.size()}, 42, -1.5, -0.5);
  gate.update_sigma();
  return gate;
}

GateLoss task_loss(GateParameter<double>& gate, const Tensor<double>& x, Rescale rescale) {
  return [&gate, &x, rescale](Pass<double>& pass) {
    const auto [w, s] = gated_weight(pass, gate, rescale);
    Var<double> y = linear(pass.input(x), w);
    if (s) y = scale(y, s);
    return mean(y * y);
  };
}

GateLoss with_penalty(const GateLoss& loss, GateParameter<double>& gate, Penalty penalty) {
  return [loss, &gate, penalty](Pass<double>& pass) {
    GateParameter<double>* const all[] = {&gate};
    return loss(pass) + gate_penalty(pass, all, penalty, 0.05);
  };
}

}  // namespace

TEST_CASE("learned sigma: gradients by theta and by log sigma against differences") {
  Context context(1);
  for (const SigmaMode mode : modes) {
    for (const Shape& shape : {Shape{1, 1}, Shape{3, 5}, Shape{7, 13}}) {
      const Tensor<double> weight = random_tensor<double>(shape, 43, 0.5, 1.5),
                           x = random_tensor<double>({3, shape[1]}, 44);
      for (const bool weighted : {true, false}) {
        GateParameter<double> gate = learned(mode, shape, weighted ? View<const double>(weight) : View<const double>());
        const PassOptions options = clear_of_kinks<double>({&gate}, 5);
        for (const Rescale rescale : rescales) {
          CAPTURE(static_cast<int>(mode));
          CAPTURE(shape);
          CAPTURE(weighted);
          CAPTURE(static_cast<int>(rescale));
          const GateLoss loss = task_loss(gate, x, rescale);
          CHECK(theta_difference(context, {&gate}, loss, {options}) < 1e-8);
          CHECK(sigma_difference(context, gate, loss, {options}) < 1e-8);
        }
      }
    }
  }
}

TEST_CASE("learned sigma: by default the penalty's gradient reaches theta alone") {
  Context context(1);
  const Tensor<double> weight = random_tensor<double>({5, 9}, 45), x = random_tensor<double>({3, 9}, 46);
  for (const SigmaMode mode : modes) {
    GateParameter<double> gate = learned(mode, {5, 9}, weight);
    const PassOptions options = clear_of_kinks<double>({&gate}, 5);
    const GateLoss loss = task_loss(gate, x, Rescale::layer);
    for (const Penalty penalty : penalties) {
      const GateLoss all = with_penalty(loss, gate, penalty);
      CHECK(theta_difference(context, {&gate}, all, {options}) < 1e-8);
      backward_passes(context, all, {options});
      const Tensor<double> got = gates::log_sigma_gradient(context, gate);
      gate.clear_gradient();
      backward_passes(context, loss, {options});
      CHECK(same_bits(got, gates::log_sigma_gradient(context, gate)));
      gate.clear_gradient();
    }
  }
}

TEST_CASE("learned sigma: through the penalty where asked for, against differences") {
  Context context(1);
  const Tensor<double> weight = random_tensor<double>({5, 9}, 47), x = random_tensor<double>({3, 9}, 48);
  for (const SigmaMode mode : modes) {
    GateParameter<double> gate = learned(mode, {5, 9}, weight, true);
    gate.cost = 3;
    const PassOptions options = clear_of_kinks<double>({&gate}, 5);
    for (const Penalty penalty : penalties) {
      CAPTURE(static_cast<int>(mode));
      CAPTURE(static_cast<int>(penalty));
      const GateLoss all = with_penalty(task_loss(gate, x, Rescale::layer), gate, penalty);
      CHECK(sigma_difference(context, gate, all, {options}) < 1e-8);
      const auto penalty_alone = [&](Pass<double>& pass) {
        GateParameter<double>* const one[] = {&gate};
        return gate_penalty(pass, one, penalty, 0.05);
      };
      CHECK(sigma_difference(context, gate, penalty_alone, {options}) < 1e-8);
    }
  }
}

TEST_CASE("learned sigma: several backward passes before a step add up") {
  Context context(1);
  const Tensor<double> weight = random_tensor<double>({5, 9}, 49), x = random_tensor<double>({3, 9}, 50);
  for (const SigmaMode mode : modes) {
    for (const bool through_penalty : {false, true}) {
      GateParameter<double> gate = learned(mode, {5, 9}, weight, through_penalty);
      std::vector<PassOptions> passes;
      for (std::uint32_t step = 0; passes.size() < 3; step = passes.back().step + 1) {
        passes.push_back(clear_of_kinks<double>({&gate}, 5, step));
      }
      const GateLoss task = task_loss(gate, x, Rescale::neuron);
      const GateLoss loss = through_penalty ? with_penalty(task, gate, Penalty::undecided) : task;
      CHECK(sigma_difference(context, gate, loss, passes) < 1e-8);
      CHECK(theta_difference(context, {&gate}, loss, passes) < 1e-8);
    }
  }
}

TEST_CASE("learned sigma: looking at the gradient changes nothing") {
  Context context(1);
  const Tensor<double> weight = random_tensor<double>({5, 9}, 51), x = random_tensor<double>({3, 9}, 52);
  GateParameter<double> gate = learned(SigmaMode::layer, {5, 9}, weight, true);
  backward_passes(context, with_penalty(task_loss(gate, x, Rescale::layer), gate, Penalty::sparse),
                  {PassOptions{.gates = Reading::sampled}});
  const Tensor<double> first = gates::log_sigma_gradient(context, gate);
  CHECK(same_bits(first, gates::log_sigma_gradient(context, gate)));
  CHECK(first[0] != 0);
}
