#include "tombola/nn/linear.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "support/gate_gradients.hpp"
#include "support/gates.hpp"
#include "support/matrix_reference.hpp"
#include "support/tensors.hpp"
#include "tombola/nn/unit_gates.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr Reading readings[] = {Reading::sampled, Reading::relaxed, Reading::above_zero, Reading::binary};

/// The layer's weight [out, in] in a pass, and the factor of each output, by the definitions.
template <class T>
EigenMatrix effective_weight(nn::Linear<nn::Gated, T>& layer, const PassOptions& options) {
  const EigenMatrix z = to_eigen(gate_values(layer.weight.gate, options));
  const EigenMatrix w = to_eigen(Tensor<T>::copy_of(layer.weight.frozen.value()));
  EigenMatrix product = z.cwiseProduct(w);
  const auto n = static_cast<double>(z.size());
  if (layer.weight.rescale == Rescale::layer) product *= std::sqrt(n / std::max(1.0, z.sum()));
  if (layer.weight.rescale == Rescale::neuron) {
    for (Index r = 0; r < z.rows(); ++r)
      product.row(r) *= std::sqrt(static_cast<double>(z.cols()) / std::max(1.0, z.row(r).sum()));
  }
  return product;
}

template <class T>
void check_gated(double tolerance) {
  Context context(1);
  using Case = std::pair<Index, Rescale>;
  for (const auto& [rows, rescale] : {Case{4, Rescale::none}, {4, Rescale::layer}, {20, Rescale::layer}, {4, Rescale::neuron}, {20, Rescale::neuron}}) {
    const Tensor<T> x = random_tensor<T>({rows, 7}, 1);  // of 14 rows and more the weights are multiplied, not the outputs
    nn::Init init{.seed = 3, .gates = {.start_deviation = 0.5}, .rescale = rescale};
    nn::Linear<nn::Gated, T> layer(init, "fc1", 7, 5);
    for (const Reading reading : readings) {
      const PassOptions options{.gates = reading, .seed = 4, .step = 5};
      Inference<T> pass(context, options);
      const EigenMatrix expected = to_eigen(x) * effective_weight(layer, options).transpose();
      CHECK(largest_error(layer(pass.input(x)).value(), from_eigen(expected, {rows, 5})) < tolerance);
    }
  }
}

}  // namespace

TEST_CASE("linear layer: frozen weights, x of any rank") {
  Context context(1);
  nn::Init init{.seed = 3};
  nn::Linear<nn::Frozen> layer(init, "fc1", 7, 5);
  CHECK(layer.in == 7);
  CHECK(layer.out == 5);
  CHECK(layer.weight.frozen.name() == "fc1.weight");
  const EigenMatrix w = to_eigen(Tensor<float>::copy_of(layer.weight.frozen.value()));
  for (const Shape& shape : {Shape{7}, Shape{1, 7}, Shape{4, 7}, Shape{2, 3, 7}, Shape{0, 7}}) {
    CAPTURE(shape);
    Tape<float> tape(context);
    const Tensor<float> x = random_tensor<float>(shape, 2);
    const Var<float> y = layer(tape.input(x));
    CHECK(y.shape().rank() == shape.rank());
    CHECK(largest_error(y.value(), from_eigen(to_eigen(x) * w.transpose(), y.shape())) < 1e-6);
    CHECK_FALSE(y.needs_gradient());
  }
}

TEST_CASE("linear layer: gated, every reading and rescaling, against the definition") {
  check_gated<double>(1e-14);
  check_gated<float>(5e-6);
}

TEST_CASE("linear layer: trained weights get a gradient, frozen ones have no place for it") {
  Context context(1);
  nn::Init init{.seed = 3};
  nn::Linear<nn::Trained, double> trained(init, "fc1", 7, 5);
  nn::Linear<nn::Joint, double> joint(init, "fc2", 7, 5);
  nn::Linear<nn::Gated, double> gated(init, "fc3", 7, 5);
  const Tensor<double> x = random_tensor<double>({4, 7}, 3), dy = random_tensor<double>({4, 5}, 4);
  const EigenMatrix dw = to_eigen(dy).transpose() * to_eigen(x);
  const PassOptions options{.gates = Reading::sampled, .seed = 4, .step = 5};
  const auto backward = [&](auto& layer) {
    Tape<double> tape(context, options);
    tape.backward(layer(tape.input(x)), dy);
  };
  backward(trained);
  CHECK(largest_error(trained.weight.weight.gradient, from_eigen(dw, {5, 7})) < 1e-14);

  backward(joint);
  const EigenMatrix z = to_eigen(gate_values(joint.weight.gate, options));
  CHECK(largest_error(joint.weight.weight.gradient, from_eigen(dw.cwiseProduct(z), {5, 7})) < 1e-14);
  const EigenMatrix w = to_eigen(joint.weight.weight.value);
  const auto masked = [&](const EigenMatrix& weight, const GateParameter<double>& gate) {
    const Tensor<double> before_clamp = unclamped_gates(gate, options);
    EigenMatrix g = dw.cwiseProduct(weight);
    for (Index i = 0; i < 35; ++i) g.data()[i] *= before_clamp[i] > 0 && before_clamp[i] < 1;
    return from_eigen(g, {5, 7});
  };
  CHECK(largest_error(gates::gradient(context, joint.weight.gate), masked(w, joint.weight.gate)) < 1e-14);

  const std::uint64_t hash = gated.weight.frozen.hash();
  backward(gated);
  const EigenMatrix frozen = to_eigen(Tensor<double>::copy_of(gated.weight.frozen.value()));
  CHECK(largest_error(gates::gradient(context, gated.weight.gate), masked(frozen, gated.weight.gate)) < 1e-14);
  CHECK(gated.weight.frozen.hash() == hash);
  CHECK(nn::parameters<double>(gated).empty());
  CHECK(nn::gates<double>(trained).empty());
  CHECK(nn::gates<double>(joint).size() == 1);
  CHECK(nn::parameters<double>(joint).size() == 1);
}

TEST_CASE("linear layer: gradients of gates, the rescaling factor on the weights or on the outputs") {
  Context context(1);
  for (const Index rows : {Index{4}, Index{14}}) {  // of 14 and more the weights are multiplied
    for (const Rescale rescale : {Rescale::layer, Rescale::neuron}) {
      CAPTURE(rows);
      CAPTURE(static_cast<int>(rescale));
      nn::Init init{.seed = 3, .gates = {.start_deviation = 0.2}, .rescale = rescale};
      nn::Linear<nn::Gated, double> layer(init, "fc1", 7, 5);
      const auto gates = nn::gates<double>(layer);
      const Tensor<double> x = random_tensor<double>({rows, 7}, 1), weights = random_tensor<double>({rows, 5}, 2);
      const GateLoss loss = [&](Pass<double>& pass) { return sum(layer(pass.input(x)) * pass.input(weights)); };
      CHECK(theta_difference(context, gates, loss, {clear_of_kinks<double>(gates, 5)}) < 1e-8);
    }
  }
}

TEST_CASE("linear layer: names stand in error messages") {
  Context context(1);
  Inference<float> pass(context);
  nn::Init init{.seed = 3};
  nn::Linear<nn::Gated> layer(init, "fc2", 7, 5);
  const Tensor<float> wrong({4, 6}), scalar{Shape{}};
  CHECK_THROWS_WITH_AS(layer(pass.input(wrong)), "fc2: expected x [..., 7], got [4, 6]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(layer(pass.input(scalar)), "fc2: expected x [..., 7], got []", std::invalid_argument);
  CHECK_THROWS_WITH_AS((nn::Linear<nn::Gated>(init, "fc3", 0, 5)),
                       "fc3: expected at least one input and one output, got 0 and 5", std::invalid_argument);
  CHECK_THROWS_WITH_AS((nn::Linear<nn::Frozen>(init, "fc3", 5, -1)),
                       "fc3: expected at least one input and one output, got 5 and -1", std::invalid_argument);
}

TEST_CASE("linear layer: an output that is not finite is named where the pass asks for it") {
  Context context(1);
  nn::Init init{.seed = 3};
  nn::Linear<nn::Frozen> layer(init, "fc2", 3, 5);
  Tensor<float> x = random_tensor<float>({4, 3}, 5);
  x[2 * 3 + 1] = std::numeric_limits<float>::infinity();
  Inference<float> plain(context), checking(context, {.checks_finite = true});
  CHECK_NOTHROW(layer(plain.input(x)));
  const std::string sign = layer.weight.frozen.value()[1] > 0 ? "inf" : "-inf";
  CHECK_THROWS_WITH_AS(layer(checking.input(x)),
                       ("fc2: expected finite outputs, got " + sign + " at row 2, column 0").c_str(),
                       std::runtime_error);
}
