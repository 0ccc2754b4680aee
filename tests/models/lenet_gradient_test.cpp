#include <doctest/doctest.h>

#include "support/gate_gradients.hpp"
#include "support/worst.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/ops/cross_entropy.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// Every gate parameter of a 7-5-4-3 network: cross-entropy and penalty, differences for the same noise. Returns the largest
/// difference relative to the largest element of each layer's gradient, where `theta_difference` stops at 1.
double model_difference(const nn::Init& init, const models::LeNetOptions& options, Penalty penalty) {
  Context context(1);
  models::LeNet<nn::Gated, double> net(init, options);
  const auto gates = nn::gates<double>(net);
  const Tensor<double> x = random_tensor<double>({6, 7}, 71);
  const Tensor<std::uint8_t> labels({6}, {0, 1, 2, 2, 1, 0});
  const GateLoss loss = [&](Pass<double>& pass) {
    const Var<double> logits = net(pass.input(x));
    const Var<double> task = cross_entropy(logits, View<const std::uint8_t>(labels), 0.1);
    return penalty == Penalty::none ? task : task + gate_penalty(pass, gates, penalty, 0.01);
  };
  const std::vector<PassOptions> passes{clear_of_kinks<double>(gates, 5)};
  backward_passes(context, loss, passes);
  double worst = 0;
  for (GateParameter<double>* gate : gates) {
    const Tensor<double> got = gates::gradient(context, *gate);
    gate->clear_gradient();
    const Tensor<double> expected = numeric_gradient(gate->theta, [&] { return total_loss(context, loss, passes); });
    double largest = 0, difference = 0;
    for (Index i = 0; i < got.size(); ++i) {
      largest = std::max(largest, std::abs(expected[i]));
      difference = std::max(difference, std::isnan(got[i]) ? INFINITY : std::abs(got[i] - expected[i]));
    }
    REQUIRE(largest > 1e-3);  // no layer is dead
    test::widen(worst, difference / largest);
  }
  return worst;
}

const models::LeNetOptions small{.inputs = 7, .hidden = {5, 4}, .outputs = 3, .activation = {nn::ActivationKind::tanh}};

}  // namespace

TEST_CASE("lenet: gradients of all gates against differences, smooth activations") {
  for (const nn::ActivationKind kind :
       {nn::ActivationKind::tanh, nn::ActivationKind::gelu, nn::ActivationKind::sigmoid}) {
    CAPTURE(static_cast<int>(kind));
    models::LeNetOptions options = small;
    options.activation = {kind};
    CHECK(model_difference({.seed = 3, .rescale = Rescale::layer}, options, Penalty::sparse) < 1e-8);
  }
}

TEST_CASE("lenet: gradients of all gates against differences, kinds, rescalings and penalties") {
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    for (const Rescale rescale : {Rescale::none, Rescale::layer, Rescale::neuron}) {
      for (const Penalty penalty : {Penalty::none, Penalty::undecided}) {
        CAPTURE(static_cast<int>(kind));
        CAPTURE(static_cast<int>(rescale));
        CHECK(model_difference({.seed = 3, .gates = {.kind = kind, .start_deviation = 0.2}, .rescale = rescale}, small,
                               penalty) < 1e-8);
      }
    }
  }
}

TEST_CASE("lenet: gradients of structured gates against differences") {
  models::LeNetOptions options = small;
  options.unit_gates = options.input_gates = options.cost_in_weights = true;
  CHECK(model_difference({.seed = 3, .rescale = Rescale::layer}, options, Penalty::variance) < 1e-8);
}

TEST_CASE("lenet: gradients where gates learn their width") {
  for (const SigmaMode mode : {SigmaMode::layer, SigmaMode::gate}) {
    CHECK(model_difference({.seed = 3, .gates = {.sigma_mode = mode}, .rescale = Rescale::layer}, small,
                           Penalty::entropy) < 1e-8);
  }
}
