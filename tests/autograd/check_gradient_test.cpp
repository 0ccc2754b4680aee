#include "tombola/autograd/check_gradient.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "support/tensors.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// y = x^2, with a gradient of 2 x dy times `error`, plus `shift` in the last element.
Var<double> square_with_wrong_gradient(const Var<double>& x, double error, double shift = 0) {
  Pass<double>& pass = x.pass();
  Var<double> y = pass.result(x.shape(), x.needs_gradient());
  for (Index i = 0; i < x.shape().size(); ++i) y.node()->output()[i] = x.value()[i] * x.value()[i];
  pass.backward_step(y, [error, shift, x = x.node(), y = y.node()](Pass<double>& pass) {
    const auto dx = pass.accumulate(*x);
    for (Index i = 0; i < x->size(); ++i) {
      dx.into[i] = dx.beta * (dx.beta == 0 ? 0 : dx.into[i]) + 2 * x->value[i] * y->gradient[i] * error +
                   (i + 1 == x->size() ? shift : 0);
    }
  });
  return y;
}

double check_square(double error, double shift = 0) {
  Context context(1);
  return check_gradient(context, list(random_tensor<double>({3, 5}, 1, 0.5, 1)),
                        [=](auto&, auto in) { return square_with_wrong_gradient(in[0], error, shift); });
}

}  // namespace

TEST_CASE("numeric_gradient: polynomials up to the fourth degree, to rounding") {
  Tensor<double> x({4}, {-1, 0, 0.5, 2});
  const Tensor<double> before = x.clone();
  const auto f = [&] {
    double sum = 0;
    for (const double v : x) sum += 3 + v * (2 + v * (-1 + v * (0.5 + v * 0.25)));
    return sum + x[0] * x[3];
  };
  const Tensor<double> got = numeric_gradient(x, f);
  for (Index i = 0; i < 4; ++i) {
    const double v = before[i];
    double expected = 2 + v * (-2 + v * (1.5 + v));
    if (i == 0) expected += before[3];
    if (i == 3) expected += before[0];
    // Values near 20 with roundings of 4e-15, over a step of 1e-3.
    CHECK(std::abs(got[i] - expected) < 1e-11);
  }
  CHECK(same_bits(x, before));
}

TEST_CASE("numeric_gradient: the error is of the order of the fourth power of the step") {
  Tensor<double> x({1}, {1});
  const auto error = [&](double h) {
    return std::abs(numeric_gradient(
                        x, [&] { return std::exp(x[0]); }, h)[0] -
                    std::exp(1.0));
  };
  CHECK(error(0.1) / error(0.05) == doctest::Approx(16).epsilon(0.05));
  CHECK(error(1e-3) < 1e-11);
}

TEST_CASE("largest_difference: relative to the largest element, but at least to 1") {
  const auto difference = [](std::initializer_list<double> a, std::initializer_list<double> b) {
    const Index n = static_cast<Index>(a.size());
    return largest_difference(Tensor<double>({n}, a), Tensor<double>({n}, b));
  };
  CHECK(difference({1, 2}, {1, 2}) == 0);
  CHECK(difference({0.5, 0}, {0.25, 0}) == 0.25);
  CHECK(difference({10, 0}, {8, 1}) == 0.25);
  CHECK(std::isnan(difference({not_a_number, 0}, {1, 2})));
  CHECK(std::isnan(difference({0, 0}, {1, not_a_number})));
  CHECK(std::isnan(difference({not_a_number, 5}, {1, 2})));
  CHECK_THROWS_WITH_AS(largest_difference(Tensor<double>({2}), Tensor<double>({1, 2})),
                       "largest_difference: expected equal shapes, got [2] and [1, 2]", std::invalid_argument);
}

TEST_CASE("check_gradient: a right gradient passes") { CHECK(check_square(1) < 1e-9); }

TEST_CASE("check_gradient: a wrong gradient fails") {
  CHECK(check_square(-1) > 1);
  CHECK(check_square(0) > 0.9);
  CHECK(check_square(2) > 0.9);
  CHECK(check_square(1 + 1e-5) > 5e-6);  // small errors are not lost
  CHECK(check_square(1, 1e-3) > 1e-4);   // in one element
}

TEST_CASE("check_gradient: NaN is reported as NaN, whichever input it comes from") {
  Context context(1);
  CHECK(std::isnan(check_square(not_a_number)));
  for (const std::size_t bad : {0, 1}) {
    CHECK(std::isnan(check_gradient(
        context, list(random_tensor<double>({2}, 1), random_tensor<double>({2}, 2)), [bad](auto&, auto in) {
          return square_with_wrong_gradient(in[bad], not_a_number) + square_with_wrong_gradient(in[1 - bad], 1);
        })));
  }
}

TEST_CASE("check_gradient: every element of the result counts") {
  // A gradient that is wrong for one element of y only; were the weights all equal, opposite errors would cancel.
  Context context(1);
  const auto f = [](Tape<double>& tape, std::span<const Var<double>> in) {
    Var<double> y = tape.result({2}, true);
    y.node()->output()[0] = y.node()->output()[1] = in[0].value()[0];
    tape.backward_step(y, [x = in[0].node(), y = y.node()](Pass<double>& pass) {
      pass.accumulate(*x).into[0] = 2 * y->gradient[0];  // should be dy_0 + dy_1
    });
    return y;
  };
  CHECK(check_gradient(context, list(Tensor<double>({1}, {1})), f) > 1e-3);
}

TEST_CASE("check_gradient: several inputs, a result of any shape, inputs that are not used") {
  Context context(1);
  const auto f = [](auto&, auto in) { return sum(in[0] * in[0] * in[1]); };
  CHECK(check_gradient(context,
                       list(random_tensor<double>({3}, 1), random_tensor<double>({3}, 2), Tensor<double>({2}, {5, 6})),
                       f) < 1e-9);
}
