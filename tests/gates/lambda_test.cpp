#include "tombola/gates/lambda.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <numbers>
#include <vector>

#include "tombola/gates/mask.hpp"

using namespace tombola;
using gates::ramped_lambda;
using gates::SparsityController;

namespace {

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

/// A small search, with the real kernels: each gate lowers the loss by a benefit of its own, which a batch shows with noise twice
/// as large; Adam with a cosine rate; the controller looks at every tenth step.
class Search {
 public:
  static constexpr int steps = 4300;  // ten epochs of MNIST

  explicit Search(double target) : controller_(target) {
    kernels::fill_noise<kernels::NormalNoise>({3, Purpose::control, 0, 0}, 0, count, benefit_.data());
    for (float& benefit : benefit_) benefit = std::exp(benefit);
  }

  void run(int first, int last) {
    for (int t = first; t < last; ++t) {
      const double progress = static_cast<double>(t) / steps;
      if (t % 10 == 0) lambda_ = controller_.update(sparsity(), progress, 10.0 / steps);
      step(static_cast<std::uint32_t>(t), static_cast<float>(0.05 * (1 + std::cos(std::numbers::pi * progress)) / 2));
    }
  }
  double sparsity() const { return 1 - static_cast<double>(gates::counts(1, gate_).open) / count; }
  double lambda() const { return lambda_; }

 private:
  static constexpr Index count = 2000;

  void step(std::uint32_t t, float rate) {
    const kernels::GaussianGate<float> formulas;
    const auto in = gates::kernel_input(gate_);
    kernels::GateOutput<float> out;
    out.open = open_.data();
    kernels::gate_sample(1, formulas, Stream{4, Purpose::gate_noise, 0, t}, in, out);
    kernels::fill_noise<kernels::NormalNoise>({5, Purpose::control, 0, t}, 0, count, dz_.data());
    for (std::size_t i = 0; i < count; ++i) dz_[i] = -benefit_[i] * (1 + 2 * dz_[i]);
    kernels::GateGradient<float> from{in, dz_.data(), open_.data()};
    from.penalty = Penalty::sparse;
    from.lambda = static_cast<float>(lambda_);
    const auto powers = static_cast<float>(t + 1);
    const kernels::AdamStep<float> adam{
        0.9f,      0.999f,    1e-8f, rate / (1 - std::pow(0.9f, powers)), 1 / std::sqrt(1 - std::pow(0.999f, powers)),
        gate_.low, gate_.high};
    kernels::gate_adam(1, formulas, from, adam, gate_.theta.data(), gate_.m.data(), gate_.v.data());
  }

  SparsityController controller_;
  GateParameter<float> gate_ = gates::make_gates<float>({}, "gates", 1, 0, {count});
  std::vector<float> benefit_ = std::vector<float>(count), dz_ = std::vector<float>(count);
  std::vector<std::uint64_t> open_ = std::vector<std::uint64_t>((count + 63) / 64);
  double lambda_ = 0;
};

}  // namespace

TEST_CASE("ramped_lambda") {
  CHECK(ramped_lambda(6, 0, 0) == 6);  // constant
  CHECK(ramped_lambda(6, 0, 1) == 6);
  CHECK(ramped_lambda(6, 0.5, 0) == 0);
  CHECK(ramped_lambda(6, 0.5, 0.25) == doctest::Approx(3));
  CHECK(ramped_lambda(6, 0.5, 0.5) == 6);
  CHECK(ramped_lambda(6, 0.5, 1) == 6);
  CHECK(ramped_lambda(6, 1, 0.1) == doctest::Approx(0.6));
}

TEST_CASE("the controller leads a search to the target") {
  for (const double target : {0.5, 0.8, 0.9, 0.95, 0.98}) {
    CAPTURE(target);
    Search search(target);
    CHECK(search.sparsity() == doctest::Approx(0.5).epsilon(0.1));
    search.run(0, Search::steps);
    // Half a point is what a search promises. Over six seeds and gains from half to twice the real ones: within .3.
    CHECK(std::abs(search.sparsity() - target) < 0.005);
  }
}

TEST_CASE("lambda is zero on the way to the target, above it for too many open gates, below it for too few") {
  for (const double target : {0.3, 0.9}) {
    for (const double side : {0.0, -0.5, 0.5}) {
      CAPTURE(target);
      CAPTURE(side);
      SparsityController controller(target, 0.5);
      const double start = -2, end = std::log(target / (1 - target));
      for (int i = 0; i <= 20; ++i) {
        const double left =
            std::max(0.0, 1 - i / 10.0);  // a parabola in the logit, which ends level after half of the search
        const double off = i == 0 ? 0 : side;
        const double lambda = controller.update(logistic(end - (end - start) * left * left + off), i / 20.0, 0.05);
        if (off == 0) CHECK(std::abs(lambda) < 1e-9);
        if (off < 0) CHECK(lambda > 0.1);
        if (off > 0) CHECK(lambda < -0.1);
      }
    }
  }
}

TEST_CASE("a restored controller goes on as if it had not stopped") {
  const auto sparsity = [](int i) { return 0.3 + 0.006 * i; };
  for (const int stop : {0, 1, 77}) {
    CAPTURE(stop);
    SparsityController whole(0.9), after(0.9);
    for (int i = 0; i < stop; ++i) whole.update(sparsity(i), i / 100.0, 0.01);
    after.restore(whole.state());
    for (int i = stop; i < 100; ++i) {
      CHECK(after.update(sparsity(i), i / 100.0, 0.01) == whole.update(sparsity(i), i / 100.0, 0.01));
    }
  }
}

TEST_CASE("lambda stays in a range that can be left again") {
  SparsityController controller(0.98);
  double highest = 0, lowest = 0, lambda = 0;
  for (int i = 0; i < 1000; ++i) highest = controller.update(0, 1, 0.1);  // the target is out of reach
  for (int i = 0; i < 1000; ++i) lowest = controller.update(1, 1, 0.1);   // nothing is left
  CHECK((highest > 100 && highest < 1e5));
  CHECK(lowest == -highest);
  for (int i = 0; i < 5; ++i) lambda = controller.update(0.9, 1, 0.1);
  CHECK(lambda > 1);
}

TEST_CASE("the controller refuses targets and rises out of range") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refused = [](double target, double rise, const char* message) {
    CHECK_THROWS_WITH_AS(SparsityController(target, rise), message, std::invalid_argument);
  };
  refused(0, 0.5, "sparsity controller: expected a target in (0, 1), got 0");
  refused(1, 0.5, "sparsity controller: expected a target in (0, 1), got 1");
  refused(90, 0.5, "sparsity controller: expected a target in (0, 1), got 90");
  refused(nan, 0.5, "sparsity controller: expected a target in (0, 1), got nan");
  refused(0.9, 0, "sparsity controller: expected a rise in (0, 1), got 0");
  refused(0.9, 1, "sparsity controller: expected a rise in (0, 1), got 1");
  refused(0.9, nan, "sparsity controller: expected a rise in (0, 1), got nan");
}
