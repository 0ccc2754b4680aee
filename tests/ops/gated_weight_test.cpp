#include "tombola/ops/gated_weight.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "support/gates.hpp"
#include "support/tensors.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/linear.hpp"
#include "tombola/ops/scale.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr Reading readings[] = {Reading::sampled, Reading::relaxed, Reading::above_zero, Reading::binary};
const Shape shapes[] = {{1, 1}, {3, 5}, {7, 9}, {13, 17}, {128, 64}};

/// Gates that are spread over all that a gate can be, some of them exactly at the edges 0, 1/2 and 1.
template <class T>
GateParameter<T> spread_gates(GateKind kind, const Shape& shape, View<const T> weight,
                              SigmaMode mode = SigmaMode::fixed) {
  gates::GateOptions options{.kind = kind, .sigma_mode = mode};
  GateParameter<T> gate = gates::make_gates<T>(options, "g", 1, 3, shape, weight);
  const bool gaussian = kind == GateKind::gaussian;
  gate.theta = random_tensor<T>(shape, 11, gaussian ? -0.6 : -3, gaussian ? 1.6 : 3);
  const T edges[] = {T(0), T(0.5), T(1)};
  for (Index i = 0; i < 3 && 4 * i + 1 < gate.size(); ++i) gate.theta[4 * i + 1] = edges[i];
  for (Index i = 0; i < gate.learned_sigma.sigmas.size(); ++i) {
    gate.learned_sigma.log_sigma[i] = std::log(T(0.2) + T(0.01) * static_cast<T>(i % 50));
  }
  gate.update_sigma();
  return gate;
}

/// sqrt(n / max(1, sum z)) over groups of n gates.
Tensor<double> factors(const Tensor<double>& z, Rescale rescale) {
  const Index groups = rescale == Rescale::neuron ? z.shape()[0] : 1, n = z.size() / groups;
  Tensor<double> s({groups});
  for (Index g = 0; g < groups; ++g) {
    const double sum = std::accumulate(z.data() + g * n, z.data() + (g + 1) * n, 0.0);
    s[g] = std::sqrt(static_cast<double>(n) / std::max(1.0, sum));
  }
  return s;
}

template <class T>
void check_values(GateKind kind, SigmaMode mode, double tolerance) {
  Context context(1);
  for (const Shape& shape : shapes) {
    for (const bool weighted : {true, false}) {
      const Tensor<T> weight = random_tensor<T>(shape, 12);
      GateParameter<T> gate = spread_gates<T>(kind, shape, weighted ? View<const T>(weight) : View<const T>(), mode);
      for (const Reading reading : readings) {
        const PassOptions options{.gates = reading, .seed = 5, .step = 6};
        const Tensor<double> z = gate_values(gate, options);
        Tensor<double> product(shape);
        for (Index i = 0; i < z.size(); ++i) product[i] = z[i] * (weighted ? static_cast<double>(weight[i]) : 1.0);
        for (const Rescale rescale : {Rescale::none, Rescale::layer, Rescale::neuron}) {
          CAPTURE(shape);
          CAPTURE(weighted);
          CAPTURE(static_cast<int>(reading));
          CAPTURE(static_cast<int>(rescale));
          Tape<T> tape(context, options);
          const GatedWeight<T> got = gated_weight(tape, gate, rescale);
          CHECK(largest_error(got.weight.value(), product) <= tolerance);
          CHECK(got.weight.needs_gradient() == (reading == Reading::sampled));
          CHECK(static_cast<bool>(got.scale) == (rescale != Rescale::none));
          if (got.scale) CHECK(largest_error(got.scale.value(), factors(z, rescale)) <= tolerance);
          Inference<T> pass(context, options);
          CHECK(same_bits(gated_weight(pass, gate, rescale).weight.value(), got.weight.value()));
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("gated_weight: values by hand") {
  Context context(1);
  const Tensor<float> weight({2, 2}, {2, -4, 8, 16});
  GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 3, {2, 2}, weight);
  gate.theta = Tensor<float>({2, 2}, {-0.5f, 0.25f, 0.5f, 1.125f});
  const auto read = [&](Reading reading) {
    Inference<float> pass(context, {.gates = reading});
    return Tensor<float>::copy_of(gated_weight(pass, gate).weight.value());
  };
  CHECK(same_bits(read(Reading::relaxed), Tensor<float>({2, 2}, {0, -1, 4, 16})));
  CHECK(same_bits(read(Reading::above_zero), Tensor<float>({2, 2}, {0, -4, 8, 16})));
  CHECK(same_bits(read(Reading::binary), Tensor<float>({2, 2}, {0, -0.0f, 0, 16})));  // 1/2 itself is closed
  Inference<float> pass(context, {.gates = Reading::relaxed});
  CHECK(gated_weight(pass, gate, Rescale::layer).scale.item() == std::sqrt(4 / 1.75f));
}

TEST_CASE("gated_weight: Gaussian gates against the formulas, all readings and rescalings") {
  check_values<double>(GateKind::gaussian, SigmaMode::fixed, 1e-14);
  check_values<double>(GateKind::gaussian, SigmaMode::gate, 1e-14);
  check_values<float>(GateKind::gaussian, SigmaMode::layer, 2e-6);  // sums of 8192 gates in float
}

TEST_CASE("gated_weight: hard-concrete gates against the formulas, all readings and rescalings") {
  check_values<double>(GateKind::hard_concrete, SigmaMode::fixed, 1e-14);
  check_values<float>(GateKind::hard_concrete, SigmaMode::fixed, 2e-6);
}

TEST_CASE("gated_weight: drawn once in a pass, anew in another") {
  Context context(1);
  GateParameter<float> gate = gates::make_gates<float>({}, "g", 1, 3, {7, 9});
  const auto draw = [&](std::uint64_t seed, std::uint32_t step) {
    Tape<float> tape(context, {.gates = Reading::sampled, .seed = seed, .step = step});
    const GatedWeight<float> first = gated_weight(tape, gate, Rescale::layer);
    const GatedWeight<float> again = gated_weight(tape, gate, Rescale::layer);
    CHECK(first.weight.node() == again.weight.node());
    CHECK(first.scale.node() == again.scale.node());
    return Tensor<float>::copy_of(first.weight.value());
  };
  const Tensor<float> z = draw(1, 1);
  CHECK(same_bits(z, draw(1, 1)));
  CHECK_FALSE(same_bits(z, draw(1, 2)));
  CHECK_FALSE(same_bits(z, draw(2, 1)));
  gate.id = 4;
  CHECK_FALSE(same_bits(z, draw(1, 1)));
}

TEST_CASE("gated_weight: one way of rescaling in a pass that learns; inference may ask for several") {
  Context context(1);
  GateParameter<float> gate = gates::make_gates<float>({}, "fc1", 1, 3, {7, 9});
  for (const Rescale rescale : {Rescale::none, Rescale::neuron}) {
    Tape<float> tape(context);
    gated_weight(tape, gate, Rescale::layer);
    CHECK_THROWS_WITH_AS(gated_weight(tape, gate, rescale), "fc1: expected one way of rescaling for all uses in a pass",
                         std::invalid_argument);
  }
  Inference<float> pass(context, {.gates = Reading::relaxed});
  const GatedWeight<float> none = gated_weight(pass, gate), layer = gated_weight(pass, gate, Rescale::layer),
                           neuron = gated_weight(pass, gate, Rescale::neuron), again = gated_weight(pass, gate);
  CHECK_FALSE(none.scale);
  CHECK_FALSE(again.scale);
  CHECK(layer.scale.shape() == Shape{1});
  CHECK(neuron.scale.shape() == Shape{7});
}

TEST_CASE("gated_weight: in inference the factor is there even if only the weight was kept") {
  Context context(1);
  GateParameter<float> gate = gates::make_gates<float>({}, "fc1", 1, 3, {7, 9});
  Inference<float> pass(context, {.gates = Reading::relaxed});
  const Var<float> weight = gated_weight(pass, gate, Rescale::layer).weight;
  const Var<float> scale = gated_weight(pass, gate, Rescale::layer).scale;
  REQUIRE(scale);
  CHECK(scale.item() > 1);
}

TEST_CASE("gated_weight: the same bits for any number of threads") {
  const Shape shape{61, 803};  // six chunks of 8192 gates, the last one short
  const Tensor<float> weight = random_tensor<float>(shape, 13), dy = random_tensor<float>(shape, 14);
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    for (const Rescale rescale : {Rescale::none, Rescale::layer, Rescale::neuron}) {
      struct Got {
        Tensor<float> y, gradient;
      };
      const auto run = [&](int threads) {
        Context context(threads);
        GateParameter<float> gate = spread_gates<float>(kind, shape, weight);
        Tape<float> tape(context, {.gates = Reading::sampled, .seed = 5, .step = 6});
        const auto [w, s] = gated_weight(tape, gate, rescale);
        const Tensor<float> x = random_tensor<float>({3, 803}, 15);
        Var<float> y = linear(tape.input(x), w);
        if (s) y = scale(y, s);
        tape.backward(sum(y * y));
        return Got{Tensor<float>::copy_of(y.value()), gates::gradient(context, gate)};
      };
      const Got one = run(1);
      for (const int threads : thread_counts) {
        const Got many = run(threads);
        CHECK(same_bits(one.y, many.y));
        CHECK(same_bits(one.gradient, many.gradient));
      }
    }
  }
}

TEST_CASE("gated_weight: rescaling each neuron needs gates [out, in]") {
  Context context(1);
  Inference<float> pass(context);
  GateParameter<float> gate = gates::make_gates<float>({}, "units1", 1, 3, {5});
  CHECK_THROWS_WITH_AS(gated_weight(pass, gate, Rescale::neuron),
                       "units1: expected gates [out, in] or [out, height, width, in] to rescale each output, got [5]", std::invalid_argument);
  CHECK_NOTHROW(gated_weight(pass, gate, Rescale::layer));
  for (const Shape& none : {Shape{4, 0}, Shape{0, 4}}) {
    GateParameter<float> empty = gates::make_gates<float>({}, "fc1", 1, 4, none);
    for (const Rescale rescale : {Rescale::layer, Rescale::neuron}) {
      CHECK_THROWS_WITH_AS(gated_weight(pass, empty, rescale), concat("fc1: expected at least one gate to rescale, got ", none).c_str(),
                           std::invalid_argument);
    }
    CHECK(gated_weight(pass, empty).weight.shape() == none);
  }
}
