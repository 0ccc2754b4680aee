#include "tombola/optim/sgd.hpp"

#include <doctest/doctest.h>

#include "support/tensors.hpp"
#include "tombola/autograd/gate_parameter.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

// SGD takes trained weights, and nothing else.
static_assert(std::is_constructible_v<optim::Sgd<float>, Context&, std::vector<Parameter<float>*>>);
static_assert(!std::is_constructible_v<optim::Sgd<float>, Context&, std::vector<GateParameter<float>*>>);
static_assert(!std::is_constructible_v<optim::Sgd<float>, Context&, std::vector<Tensor<float>*>>);

namespace {

/// loss = sum w g: the gradient is g.
template <class T>
void backward(Context& context, Parameter<T>& parameter, const Tensor<T>& g) {
  Tape<T> tape(context);
  tape.backward(sum(parameter_value(tape, parameter) * tape.input(g)));
}

template <class T>
void check_against_scalar(double tolerance) {
  Context context(1);
  for (const double momentum : {0.0, 0.9}) {
    for (const double decay : {0.0, 0.01}) {
      Parameter<T> parameter(random_tensor<T>({77}, 1));
      Tensor<double> w = converted<double>(parameter.value), u({77});
      optim::Sgd<T> sgd(context, {&parameter}, {.rate = 0.1, .momentum = momentum, .weight_decay = decay});
      for (std::uint32_t step = 0; step < 20; ++step) {
        const Tensor<T> g = random_tensor<T>({77}, 2 + step);
        backward(context, parameter, g);
        sgd.step();
        for (Index i = 0; i < 77; ++i) {
          u[i] = momentum * u[i] + (static_cast<double>(g[i]) + decay * w[i]);
          w[i] -= 0.1 * u[i];
        }
        CHECK(largest_error(parameter.value, w) < tolerance);
      }
    }
  }
}

}  // namespace

TEST_CASE("sgd: two steps by hand") {
  Context context(1);
  Parameter<double> parameter(Tensor<double>({2}, {1, -1}));
  optim::Sgd<double> sgd(context, {&parameter}, {.rate = 0.5, .momentum = 0.5});
  backward(context, parameter, Tensor<double>({2}, {1, 2}));
  sgd.step();
  CHECK(same_bits(parameter.value, Tensor<double>({2}, {0.5, -2})));
  sgd.set_rate(0.25);
  CHECK_THROWS_WITH_AS(sgd.set_rate(-0.25), "sgd: expected a finite rate of at least 0, got -0.25", std::invalid_argument);  // and it stays
  backward(context, parameter, Tensor<double>({2}, {1, 0}));
  sgd.step();
  CHECK(same_bits(parameter.momentum, Tensor<double>({2}, {1.5, 1})));
  CHECK(same_bits(parameter.value, Tensor<double>({2}, {0.125, -2.25})));
}

TEST_CASE("sgd: twenty steps against the rule for one number") {
  check_against_scalar<double>(1e-13);
  check_against_scalar<float>(2e-5);  // twenty roundings of numbers up to about 10, amplified by the momentum
}

TEST_CASE("sgd: without a gradient nothing moves, momentum or not; gradients are cleared") {
  Context context(1);
  Parameter<float> moved(random_tensor<float>({5}, 1)), still(random_tensor<float>({5}, 2));
  const Tensor<float> before = still.value.clone();
  optim::Sgd<float> sgd(context, {&moved, &still}, {.weight_decay = 0.1});
  backward(context, moved, random_tensor<float>({5}, 3));
  CHECK(moved.has_gradient);
  sgd.step();
  CHECK_FALSE(moved.has_gradient);
  CHECK(same_bits(still.value, before));
  const Tensor<float> after = moved.value.clone();
  sgd.step();
  CHECK(same_bits(moved.value, after));
}

TEST_CASE("sgd: gradients of several passes add up into one step") {
  Context context(1);
  Parameter<double> parameter(Tensor<double>({2}, {0, 0}));
  optim::Sgd<double> sgd(context, {&parameter}, {.rate = 1, .momentum = 0});
  backward(context, parameter, Tensor<double>({2}, {1, 2}));
  backward(context, parameter, Tensor<double>({2}, {10, 20}));
  sgd.step();
  CHECK(same_bits(parameter.value, Tensor<double>({2}, {-11, -22})));
}

TEST_CASE("sgd: another optimiser over the same parameters keeps their momentum") {
  Context context(1);
  Parameter<double> parameter(Tensor<double>({1}, {0}));
  for (int i = 0; i < 2; ++i) {
    optim::Sgd<double> sgd(context, {&parameter}, {.rate = 1, .momentum = 0.5});
    backward(context, parameter, Tensor<double>({1}, {1}));
    sgd.step();
  }
  CHECK(parameter.momentum[0] == 1.5);
  CHECK(parameter.value[0] == -2.5);
}

TEST_CASE("sgd: the same bits for any number of threads") {
  const auto run = [](int threads) {
    Context context(threads);
    Parameter<float> parameter(random_tensor<float>({49157}, 1));  // four chunks of 16384
    optim::Sgd<float> sgd(context, {&parameter}, {.weight_decay = 0.01});
    for (std::uint32_t step = 0; step < 3; ++step) {
      backward(context, parameter, random_tensor<float>({49157}, 2 + step));
      sgd.step();
    }
    return std::move(parameter.value);
  };
  const Tensor<float> one = run(1);
  for (const int threads : thread_counts) CHECK(same_bits(one, run(threads)));
}

TEST_CASE("sgd: options out of range are refused") {
  Context context(1);
  const auto make = [&](const optim::SgdOptions& options) { optim::Sgd<float>(context, {}, options); };
  CHECK_NOTHROW(make({}));
  CHECK_THROWS_WITH_AS(make({.rate = -1}), "sgd: expected a finite rate of at least 0, got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.rate = INFINITY}), "sgd: expected a finite rate of at least 0, got inf", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.momentum = 1}), "sgd: expected a momentum in [0, 1), got 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.momentum = -0.5}), "sgd: expected a momentum in [0, 1), got -0.5", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.weight_decay = -1}), "sgd: expected a finite weight decay of at least 0, got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.weight_decay = INFINITY}), "sgd: expected a finite weight decay of at least 0, got inf", std::invalid_argument);
}
