#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/bias.hpp"
#include "tombola/ops/linear.hpp"
#include "tombola/ops/matmul.hpp"
#include "tombola/ops/scale.hpp"

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr auto add = [](auto in) { return in[0] + in[1]; };
constexpr auto subtract = [](auto in) { return in[0] - in[1]; };
constexpr auto multiply = [](auto in) { return in[0] * in[1]; };
constexpr auto divide = [](auto in) { return in[0] / in[1]; };

template <class F>
void for_each_op(const F& f) {
  f("add", add);
  f("subtract", subtract);
  f("multiply", multiply);
  f("divide", divide);
}

/// Two operands; the second is kept a quarter away from 0, where what `check_gradient` neglects of a quotient is below 2e-9.
template <class T>
std::vector<Tensor<T>> operands(const Shape& shape, std::uint32_t seed) {
  return list(random_tensor<T>(shape, seed), random_off_zero<T>(shape, seed + 1, -1, 1, 0.25));
}

}  // namespace

TEST_CASE("arithmetic: values and gradients by hand") {
  Context context(1);
  const Tensor<float> a({3}, {1, -2, 3}), b({3}, {10, 20, -30}), dy({3}, {1, 2, 3});
  const auto check = [&](const auto& op, std::initializer_list<float> y, std::initializer_list<float> da,
                         std::initializer_list<float> db) {
    Tape<float> tape(context);
    const Var<float> va = tape.variable(a), vb = tape.variable(b);
    const Var<float> vy = op(va, vb);
    tape.backward(vy, dy);
    CHECK(same_bits<float>(vy.value(), Tensor<float>({3}, y)));
    CHECK(same_bits(tape.gradient(va), Tensor<float>({3}, da)));
    CHECK(same_bits(tape.gradient(vb), Tensor<float>({3}, db)));
  };
  check([](auto& u, auto& v) { return u + v; }, {11, 18, -27}, {1, 2, 3}, {1, 2, 3});
  check([](auto& u, auto& v) { return u - v; }, {-9, -22, 33}, {1, 2, 3}, {-1, -2, -3});
  check([](auto& u, auto& v) { return u * v; }, {10, -40, -90}, {10, 40, -90}, {1, -4, 9});
  check([](auto& u, auto& v) { return v / u; }, {10, -10, -10}, {-10, -10, 10}, {1, -1, 1});
}

TEST_CASE("arithmetic: gradients against differences") {
  Context context(1);
  for (const Shape& shape : {Shape{3, 5}, Shape{7, 1}, Shape{1, 1}, Shape{17, 33}, Shape{}}) {
    CAPTURE(shape);
    for_each_op([&](const char* name, const auto& op) {
      CAPTURE(name);
      const auto call = [&](auto&, auto in) { return op(in); };
      CHECK(check_gradient(context, operands<double>(shape, 1), call) < 1e-8);
    });
  }
}

TEST_CASE("arithmetic: both operands the same value") {
  const Tensor<double> x = random_off_zero<double>({3, 5}, 3), dy = random_tensor<double>({3, 5}, 99);
  const auto gradient = [&](const auto& op) {
    return std::move(run_op([&](auto in) { return op(in[0], in[0]); }, list(x.clone())).gradients[0]);
  };
  const Tensor<double> sum = gradient([](auto& a, auto& b) { return a + b; });
  const Tensor<double> difference = gradient([](auto& a, auto& b) { return a - b; });
  const Tensor<double> square = gradient([](auto& a, auto& b) { return a * b; });
  const Tensor<double> one = gradient([](auto& a, auto& b) { return a / b; });
  for (Index i = 0; i < x.size(); ++i) {
    CHECK(sum[i] == 2 * dy[i]);
    CHECK(difference[i] == 0);
    CHECK(square[i] == 2 * (dy[i] * x[i]));
    CHECK(std::abs(one[i]) <=
          4e-16 * std::abs(dy[i] / x[i]));  // a rounding of dy / x that is fused into the sum or is not
  }
}

TEST_CASE("arithmetic: only one operand needs a gradient; added gradients; float; threads; nothing") {
  const Shape large{49157};  // four chunks of 16384
  for_each_op([&](const char* name, const auto& op) {
    CAPTURE(name);
    const auto inputs = operands<float>({17, 33}, 4);
    check_inputs_apart(op, inputs);
    check_added_gradients(op, inputs);
    CHECK(float_error(op, inputs) <= 4e-7);  // three roundings of a quotient's slope
    check_threads(op, operands<float>(large, 6));
    CHECK(run_op(op, list(Tensor<float>({0, 3}), Tensor<float>({0, 3}))).y.shape() == Shape{0, 3});
  });
}

TEST_CASE("arithmetic: with numbers") {
  Context context(1);
  const Tensor<double> x = random_tensor<double>({17, 3}, 8), dy = random_tensor<double>({17, 3}, 99);
  const auto check = [&](const auto& op, double factor, double shift) {
    const OpResult<double> got = run_op([&](auto in) { return op(in[0]); }, list(x.clone()));
    for (Index i = 0; i < x.size(); ++i) {
      CHECK(got.y[i] == std::fma(factor, x[i], shift));
      CHECK(got.gradients[0][i] == factor * dy[i]);
    }
  };
  check([](auto& v) { return affine(v, 3, -2); }, 3, -2);
  check([](auto& v) { return v * 2.5; }, 2.5, 0);
  check([](auto& v) { return 2.5 * v; }, 2.5, 0);
  check([](auto& v) { return v / 3; }, 1.0 / 3, 0);
  check([](auto& v) { return v + 7; }, 1, 7);
  check([](auto& v) { return -v; }, -1, 0);
}

TEST_CASE("arithmetic: a number over a tensor, and quotients by 0") {
  Context context(1);
  const Tensor<double> x = random_off_zero<double>({17, 3}, 8, -1, 1, 0.25);
  const auto over = [](auto&, auto in) { return 3.0 / in[0] + in[0] * (2 / in[0]); };
  CHECK(check_gradient(context, list(x.clone()), over) < 1e-8);

  Tape<float> tape(context);
  const Tensor<float> values({4}, {2, -4, 0, INFINITY}), ones = Tensor<float>::filled({4}, 1);
  const Var<float> v = tape.variable(values), y = 8 / v;
  tape.backward(y, ones);
  CHECK(same_bits<float>(y.value(), Tensor<float>({4}, {4, -2, INFINITY, 0})));
  const Tensor<float> slopes = tape.gradient(v);
  CHECK(slopes[0] == -2);
  CHECK(slopes[1] == -0.5f);
  CHECK(slopes[2] == -INFINITY);
  CHECK(slopes[3] == 0);

  const Tensor<float> numerators({4}, {1, -1, 0, 1}), divisors({4}, {0, 0, 0, INFINITY});
  const Var<float> quotient = tape.input(numerators) / tape.input(divisors);
  CHECK(quotient.value()[0] == INFINITY);
  CHECK(quotient.value()[1] == -INFINITY);
  CHECK(std::isnan(quotient.value()[2]));
  CHECK(quotient.value()[3] == 0);
}

TEST_CASE("arithmetic: shapes that differ are refused") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> a({2, 3}), b({3, 2});
  const Var<float> va = tape.input(a), vb = tape.input(b);
  CHECK_THROWS_WITH_AS(va + vb, "add: expected equal shapes, got [2, 3] and [3, 2]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(va - vb, "subtract: expected equal shapes, got [2, 3] and [3, 2]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(va * vb, "multiply: expected equal shapes, got [2, 3] and [3, 2]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(va / vb, "divide: expected equal shapes, got [2, 3] and [3, 2]", std::invalid_argument);
}

TEST_CASE("arithmetic with numbers on either side") {
  Context context(1);
  Tape<double> tape(context);
  const Tensor<double> values({3}, {1, -2, 0.5});
  const Var<double> x = tape.input(values);
  CHECK((x - 3.0).value()[1] == -5);
  CHECK((3.0 - x).value()[1] == 5);
  CHECK((3.0 + x).value()[2] == 3.5);
  const auto f = [](Tape<double>&, std::span<const Var<double>> in) { return (2.0 - in[0]) * (in[0] - 1.5) + (1.0 + in[0]); };
  std::vector<Tensor<double>> inputs;
  inputs.push_back(values.clone());
  CHECK(check_gradient(context, std::move(inputs), f) < 1e-8);
}

TEST_CASE("ops refuse values of two passes") {
  Context context(1);
  Tape<double> one(context), other(context);
  const Tensor<double> values({2, 2}), vector({2});
  const Var<double> a = one.input(values), b = other.input(values), v = other.input(vector);
  const auto refused = [](const char* name, const auto& op) {
    CHECK_THROWS_WITH_AS(op(), (std::string(name) + ": expected values of one pass, got values of two").c_str(),
                         std::invalid_argument);
  };
  refused("add", [&] { return a + b; });
  refused("multiply", [&] { return a * b; });
  refused("divide", [&] { return a / b; });
  refused("linear", [&] { return linear(a, b); });
  refused("matmul", [&] { return matmul(a, b); });
  refused("add_bias", [&] { return add_bias(a, v); });
  refused("scale", [&] { return scale(a, v); });
}
