#include "tombola/models/lenet.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "support/gates.hpp"
#include "support/tensors.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr Reading readings[] = {Reading::sampled, Reading::relaxed, Reading::above_zero, Reading::binary};
const models::LeNetOptions small{.inputs = 7, .hidden = {5, 4}, .outputs = 3};

double factor(const double* z, Index n, Index step, bool wanted) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) sum += z[i * step];
  return wanted ? std::sqrt(static_cast<double>(n) / std::max(1.0, sum)) : 1;
}

/// The network one number at a time, with leaky ReLU, in double.
template <class T>
Tensor<double> reference(models::LeNet<nn::Gated, T>& net, const Tensor<T>& x, const PassOptions& options) {
  const Index batch = x.shape()[0];
  const auto gated_units = [&](nn::UnitGates<T>& units, std::vector<double>& h) {
    const Tensor<double> z = gate_values(units.gate, options);
    const double s = factor(z.data(), z.size(), 1, units.rescale != Rescale::none);
    for (std::size_t i = 0; i < h.size(); ++i) h[i] *= s * z[static_cast<Index>(i)];
  };
  Tensor<double> logits({batch, net.layers.back().out});
  for (Index r = 0; r < batch; ++r) {
    std::vector<double> h(x.view().row(r), x.view().row(r) + x.shape()[1]);
    if (!net.inputs.empty()) gated_units(net.inputs[0], h);
    for (std::size_t l = 0; l < net.layers.size(); ++l) {
      auto& layer = net.layers[l];
      const Tensor<double> z = gate_values(layer.weight.gate, options);
      std::vector<double> y(static_cast<std::size_t>(layer.out));
      for (Index o = 0; o < layer.out; ++o) {
        double sum = 0;
        for (Index i = 0; i < layer.in; ++i) {
          sum += h[static_cast<std::size_t>(i)] * z[o * layer.in + i] *
                 static_cast<double>(layer.weight.frozen.value()[o * layer.in + i]);
        }
        const Rescale rescale = layer.weight.rescale;
        sum *= rescale == Rescale::neuron ? factor(z.data() + o * layer.in, layer.in, 1, true)
                                          : factor(z.data(), z.size(), 1, rescale == Rescale::layer);
        const bool last = l + 1 == net.layers.size();
        // The slope .01 is a number of type T.
        y[static_cast<std::size_t>(o)] = last || sum > 0 ? sum : static_cast<double>(T(0.01)) * sum;
      }
      if (l + 1 < net.layers.size() && !net.units.empty()) gated_units(net.units[l], y);
      h = std::move(y);
    }
    std::copy(h.begin(), h.end(), logits.view().row(r));
  }
  return logits;
}

template <class T>
void check_forward(double tolerance) {
  Context context(1);
  const Tensor<T> x = random_tensor<T>({6, 7}, 1);
  for (const Rescale rescale : {Rescale::none, Rescale::layer, Rescale::neuron}) {
    for (const bool structured : {false, true}) {
      for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
        models::LeNetOptions options = small;
        options.unit_gates = options.input_gates = structured;
        const double spread = kind == GateKind::gaussian ? 0.5 : 2;
        models::LeNet<nn::Gated, T> net(
            {.seed = 3, .gates = {.kind = kind, .start_deviation = spread}, .rescale = rescale}, options);
        for (const Reading reading : readings) {
          const PassOptions pass_options{.gates = reading, .seed = 4, .step = 5};
          Inference<T> pass(context, pass_options);
          CHECK(largest_error(net(pass.input(x)).value(), reference(net, x, pass_options)) < tolerance);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("lenet: layers, names, streams") {
  models::LeNetOptions options = small;
  options.unit_gates = options.input_gates = true;
  models::LeNet<nn::Gated> net({.seed = 3}, options);
  REQUIRE(net.layers.size() == 3);
  CHECK(net.layers[0].name == "fc1");
  CHECK(net.layers[2].name == "fc3");
  CHECK(net.layers[1].in == 5);
  CHECK(net.layers[1].out == 4);
  CHECK(net.units.size() == 2);
  CHECK(net.inputs.size() == 1);
  const auto gates = nn::gates(net);
  const char* names[] = {"fc1.weight", "fc2.weight", "fc3.weight", "units1", "units2", "inputs"};
  const Index sizes[] = {35, 20, 12, 5, 4, 7};
  REQUIRE(gates.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(gates[i]->name == names[i]);
    CHECK(gates[i]->size() == sizes[i]);
    CHECK(gates[i]->id == i);
  }
  models::LeNet<nn::Frozen> plain({.seed = 3}, small);
  CHECK(plain.units.empty());
  CHECK(plain.inputs.empty());
  models::LeNet<nn::Frozen> shallow({.seed = 3}, {.inputs = 7, .hidden = {}, .outputs = 3});
  CHECK(shallow.layers.size() == 1);
}

TEST_CASE("lenet: forward against the definition, in double") { check_forward<double>(1e-14); }
TEST_CASE("lenet: forward against the definition, in float") { check_forward<float>(5e-6); }

TEST_CASE("lenet: every source begins with the same weights, structured or not, in float and double") {
  models::LeNetOptions structured = small;
  structured.unit_gates = true;
  models::LeNet<nn::Frozen> frozen({.seed = 3}, small);
  models::LeNet<nn::Gated, double> gated({.seed = 3}, structured);
  models::LeNet<nn::Trained> trained({.seed = 3}, small);
  models::LeNet<nn::Joint> joint({.seed = 3}, structured);
  for (std::size_t l = 0; l < 3; ++l) {
    const std::uint64_t hash = frozen.layers[l].weight.frozen.hash();
    CHECK(gated.layers[l].weight.frozen.hash() == hash);
    CHECK(hash_weights(View<const float>(trained.layers[l].weight.weight.value)) == hash);
    CHECK(hash_weights(View<const float>(joint.layers[l].weight.weight.value)) == hash);
  }
  CHECK(frozen.layers[0].weight.frozen.hash() != frozen.layers[1].weight.frozen.hash());
}

TEST_CASE("lenet: float and double networks compute the same, up to rounding") {
  Context context(1);
  models::LeNet<nn::Gated> narrow({.seed = 3, .rescale = Rescale::layer}, small);
  models::LeNet<nn::Gated, double> wide({.seed = 3, .rescale = Rescale::layer}, small);
  const Tensor<float> x = random_tensor<float>({6, 7}, 2);
  const Tensor<double> wide_x = converted<double>(x);
  const PassOptions options{.gates = Reading::sampled, .seed = 4, .step = 5};
  Inference<float> pass(context, options);
  Inference<double> wide_pass(context, options);
  const Tensor<double> expected = Tensor<double>::copy_of(wide(wide_pass.input(wide_x)).value());
  CHECK(largest_error(narrow(pass.input(x)).value(), expected) < 5e-6);
}

TEST_CASE("lenet: a unit's cost is the weights that it removes, relative to the mean") {
  models::LeNetOptions options = small;
  options.unit_gates = options.input_gates = true;
  models::LeNet<nn::Frozen> plain({.seed = 3}, options);
  for (const GateParameter<float>* gate : nn::gates(plain)) CHECK(gate->cost == 1);
  options.cost_in_weights = true;
  // Units of the first hidden layer have 7 + 4 weights, of the second 5 + 3, inputs 5: (5 * 11 + 4 * 8 + 7 * 5) / 16 on average.
  const double mean = (5 * 11 + 4 * 8 + 7 * 5) / 16.0;
  const auto compare = [&](auto&& net) {
    CHECK(static_cast<double>(net.units[0].gate.cost) == doctest::Approx(11 / mean).epsilon(1e-6));
    CHECK(static_cast<double>(net.units[1].gate.cost) == doctest::Approx(8 / mean).epsilon(1e-6));
    CHECK(static_cast<double>(net.inputs[0].gate.cost) == doctest::Approx(5 / mean).epsilon(1e-6));
  };
  compare(models::LeNet<nn::Frozen>({.seed = 3}, options));
  compare(models::LeNet<nn::Trained, double>({.seed = 3}, options));
  compare(models::LeNet<nn::Gated>({.seed = 3}, options));
  compare(models::LeNet<nn::Joint>({.seed = 3}, options));  // whose weights' gates are no units
}

TEST_CASE("lenet: names stand in error messages") {
  Context context(1);
  Inference<float> pass(context);
  models::LeNet<nn::Gated> net({.seed = 3}, small);
  const Tensor<float> wrong({4, 6});
  CHECK_THROWS_WITH_AS(net(pass.input(wrong)), "fc1: expected x [..., 7], got [4, 6]", std::invalid_argument);
  CHECK_THROWS_WITH_AS((models::LeNet<nn::Gated>({.seed = 3}, {.inputs = 7, .hidden = {5, 0}, .outputs = 3})),
                       "fc2: expected at least one input and one output, got 5 and 0", std::invalid_argument);
}
