#include "tombola/gates/gradient.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "support/arrays.hpp"

using namespace tombola;
using gates::GateOptions;
using gates::make_gates;

namespace {

constexpr Index size = 150;  // more than two groups of noise, the last one incomplete
constexpr Penalty penalty = Penalty::sparse;

/// A layer of gates over a frozen weight, as an op would use it.
template <class T>
struct Layer {
  Tensor<T> weight = tensor(test::uniform<T>(size, -1, 1, 1));
  GateParameter<T> gate;

  explicit Layer(const GateOptions& options, bool weighted = true)
      : gate(make_gates<T>(options, "fc1", 42, 3, {size}, weighted ? weight.view() : View<T>{})) {}

  static Tensor<T> tensor(const std::vector<T>& values) {
    Tensor<T> to({static_cast<Index>(values.size())});
    std::copy(values.begin(), values.end(), to.begin());
    return to;
  }
  /// The products z w that step `step` draws for these parameters; leaves what backward needs with the gates.
  std::vector<T> draw(std::uint32_t step) {
    std::vector<T> product(size);
    gate.open.resize((size + 63) / 64);
    gate.slope = Tensor<T>({size});
    gate.noise = {42, Purpose::gate_noise, gate.id, step};
    gates::with_formulas<T>(gate, [&](auto formulas) {
      kernels::gate_sample(
          1, formulas, gate.noise, gates::kernel_input(gate),
          kernels::GateOutput<T>{product.data(), nullptr, gate.open.data(), gate.slope.data(), nullptr});
    });
    return product;
  }
  /// A forward and a backward pass of loss = sum_i c_i z_i w_i, with c of the step.
  void pass(std::uint32_t step) {
    draw(step);
    gate.dproduct = tensor(test::uniform<T>(size, -1, 1, 10 + step));
    gate.dproduct_is_dz = false;
    gate.pending = true;
  }
  /// That loss for other parameters.
  double loss(std::uint32_t step) {
    const auto product = draw(step), c = test::uniform<T>(size, -1, 1, 10 + step);
    double sum = 0;
    for (std::size_t i = 0; i < product.size(); ++i) sum += static_cast<double>(c[i]) * static_cast<double>(product[i]);
    return sum;
  }
  double weight_at(Index i) const { return gate.weight.size() == 0 ? 1 : static_cast<double>(weight[i]); }
};

std::vector<double> values(const Tensor<double>& tensor) { return {tensor.begin(), tensor.end()}; }

bool near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  bool near = a.size() == b.size();
  for (std::size_t i = 0; near && i < a.size(); ++i) near = std::abs(a[i] - b[i]) <= tolerance;
  return near;
}

/// d loss / d theta of one gate after another, by central differences of the losses of these steps.
std::vector<double> numeric_gradient(Layer<double>& layer, const std::vector<std::uint32_t>& steps) {
  // z is piecewise smooth: a clamp lies within h of a gate in one case in 1e6.
  const double h = 1e-6;
  std::vector<double> gradient;
  for (Index i = 0; i < size; ++i) {
    double difference = 0;
    for (const double side : {1.0, -1.0}) {
      const double kept = layer.gate.theta[i];
      layer.gate.theta[i] += side * h;
      for (const std::uint32_t step : steps) difference += side * layer.loss(step);
      layer.gate.theta[i] = kept;
    }
    gradient.push_back(difference / (2 * h));
  }
  return gradient;
}

}  // namespace

TEST_CASE("the gradient of one pass is the numeric derivative of its loss") {
  Context context(1);
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    for (const bool weighted : {true, false}) {
      Layer<double> layer({.kind = kind, .start_deviation = 0.5}, weighted);
      const auto expected = numeric_gradient(layer, {5});
      layer.pass(5);
      CHECK(near(values(gates::gradient(context, layer.gate)), expected, 1e-8));  // 1e-15 / h of rounding, or h^2
      const auto zeros = static_cast<Index>(std::count(expected.begin(), expected.end(), 0.0));
      CHECK((zeros > size / 10 && zeros < 9 * size / 10));  // closed gates and open ones
    }
  }
}

TEST_CASE("make_explicit adds several passes") {
  Context context(1);
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    Layer<double> layer({.kind = kind, .start_deviation = 0.5});
    const auto expected = numeric_gradient(layer, {5, 6, 7});
    for (const std::uint32_t step : {5u, 6u, 7u}) {
      layer.pass(step);
      CHECK(layer.gate.pending);
      gates::make_explicit(1, layer.gate);
      CHECK_FALSE(layer.gate.pending);
      CHECK(layer.gate.has_gradient);
    }
    CHECK(near(values(layer.gate.gradient), expected, 1e-8));
    gates::make_explicit(1, layer.gate);  // nothing is pending: nothing changes
    CHECK(near(values(layer.gate.gradient), expected, 1e-8));
    CHECK(near(values(gates::gradient(context, layer.gate)), expected, 1e-8));

    // after a step the sum starts again
    layer.gate.clear_gradient();
    const auto next = numeric_gradient(layer, {8});
    layer.pass(8);
    gates::make_explicit(1, layer.gate);
    CHECK(near(values(layer.gate.gradient), next, 1e-8));
  }
}

TEST_CASE("the penalty's part, and the part that all gates share") {
  Context context(1);
  Layer<double> layer({.start_deviation = 0.5});
  const auto plain = numeric_gradient(layer, {5});
  layer.pass(5);
  layer.gate.dz_all = 0.25;
  layer.gate.penalty = penalty;
  layer.gate.penalty_weight = 0.5;
  layer.gate.cost = 3;
  std::vector<double> loss_part, total;
  for (Index i = 0; i < size; ++i) {
    const bool open = (layer.gate.open[static_cast<std::size_t>(i / 64)] >> (i % 64) & 1) != 0;
    loss_part.push_back(plain[static_cast<std::size_t>(i)] + (open ? 0.25 : 0));
    const double x = layer.gate.theta[i] / 0.5;
    total.push_back(loss_part.back() + 1.5 * std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi) / 0.5);
  }
  CHECK(near(values(gates::gradient(context, layer.gate)), total, 1e-8));
  CHECK(near(values(layer.gate.gradient), loss_part, 1e-8));  // without the penalty
  CHECK(layer.gate.dz_all == 0);
  CHECK(near(values(gates::gradient(context, layer.gate)), total, 1e-8));  // asking twice changes nothing

  // the penalty alone, without any pass
  layer.gate.clear_gradient();
  layer.gate.penalty_weight = 0.5;
  for (std::size_t i = 0; i < total.size(); ++i) total[i] -= loss_part[i];
  CHECK(near(values(gates::gradient(context, layer.gate)), total, 1e-8));
  layer.gate.clear_gradient();
  CHECK(near(values(gates::gradient(context, layer.gate)), std::vector<double>(size), 0));
}

TEST_CASE("a gradient by z in place of one by z w") {
  Context context(1);
  Layer<double> layer({.start_deviation = 0.5});
  const auto expected = numeric_gradient(layer, {5});
  layer.pass(5);
  for (Index i = 0; i < size; ++i) layer.gate.dproduct[i] *= layer.weight[i];
  layer.gate.dproduct_is_dz = true;
  CHECK(near(values(gates::gradient(context, layer.gate)), expected, 1e-8));
}

TEST_CASE("gradients of a learned sigma are numeric derivatives, summed over passes") {
  Context context(1);
  for (const SigmaMode mode : {SigmaMode::layer, SigmaMode::gate}) {
    for (const bool through_penalty : {false, true}) {
      CAPTURE(static_cast<int>(mode));
      CAPTURE(through_penalty);
      Layer<double> layer(
          {.sigma = 0.4, .sigma_mode = mode, .sigma_through_penalty = through_penalty, .start_deviation = 0.3});
      auto& log_sigma = layer.gate.learned_sigma.log_sigma;
      if (mode == SigmaMode::gate) {
        for (Index i = 0; i < size; ++i) log_sigma[i] += 0.002 * static_cast<double>(i);
        layer.gate.update_sigma();
      }
      const double penalty_weight = 0.7;
      const auto loss = [&] {
        layer.gate.update_sigma();
        double sum = layer.loss(5) + layer.loss(6), penalties = 0;
        if (through_penalty) {
          kernels::gate_penalty(1, kernels::GaussianGate<double>{}, penalty, gates::kernel_input(layer.gate),
                                &penalties);
        }
        return sum + penalty_weight * penalties;
      };
      std::vector<double> expected;
      // A layer's own sigma moves all gates at once: one of 150 within h of a clamp would show, so h is smaller.
      const double h = mode == SigmaMode::layer ? 1e-7 : 1e-6;
      for (Index i = 0; i < log_sigma.size(); ++i) {
        const double kept = log_sigma[i];
        log_sigma[i] = kept + h;
        double difference = loss();
        log_sigma[i] = kept - h;
        difference -= loss();
        log_sigma[i] = kept;
        expected.push_back(difference / (2 * h));
      }
      layer.gate.update_sigma();
      layer.pass(5);
      gates::make_explicit(1, layer.gate);
      layer.pass(6);
      layer.gate.penalty = penalty;
      layer.gate.penalty_weight = penalty_weight;
      CHECK(near(values(gates::log_sigma_gradient(context, layer.gate)), expected, 1e-6));  // 1e-14 x 10 / h
      CHECK(near(values(gates::log_sigma_gradient(context, layer.gate)), expected,
                 1e-6));  // asking twice changes nothing

      // the penalty alone
      layer.gate.clear_gradient();
      layer.gate.penalty_weight = penalty_weight;
      const auto alone = values(gates::log_sigma_gradient(context, layer.gate));
      double sum = 0;
      for (const double g : alone) sum += std::abs(g);
      CHECK((sum > 1) == through_penalty);
      if (!through_penalty) CHECK(sum == 0);
    }
  }
}

TEST_CASE("log_sigma_gradient refuses gates whose sigma is fixed") {
  Context context(1);
  Layer<double> layer(GateOptions{});
  CHECK_THROWS_WITH_AS(gates::log_sigma_gradient(context, layer.gate), "fc1: expected gates with a learned sigma",
                       std::invalid_argument);
}

TEST_CASE("gradients in float agree with those in double") {
  Context context(1);
  Layer<float> layer({.start_deviation = 0.5});
  Layer<double> wide({.start_deviation = 0.5});
  for (const std::uint32_t step : {5u, 6u}) {
    layer.pass(step);
    wide.pass(step);
    gates::make_explicit(1, layer.gate);
    gates::make_explicit(1, wide.gate);
  }
  Index differ = 0;
  for (Index i = 0; i < size; ++i)
    differ += std::abs(static_cast<double>(layer.gate.gradient[i]) - wide.gate.gradient[i]) > 1e-6;
  CHECK(differ <= 1);  // a gate on the edge of its clamp may fall to the other side
}
