#include "tombola/ops/gelu.hpp"

#include <array>

#include "support/op.hpp"
#include "support/unary_op.hpp"

using namespace tombola;

namespace {
constexpr auto op = [](const auto& x) { return gelu(x); };
double distribution(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }
double density(double x) { return std::exp(-x * x / 2) / std::sqrt(8 * std::atan(1.0)); }

constexpr auto tanh_op = [](const auto& x) { return gelu_tanh(x); };
const double root = std::sqrt(2 / std::acos(-1.0));
double inner(double x) { return root * (x + 0.044715 * x * x * x); }
double tanh_slope(double x) {
  const double t = std::tanh(inner(x));
  return (1 + t) / 2 + x / 2 * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
}
/// At the ends of the line.
template <class T, class Op>
std::array<T, 2> run_slope(const Op& op) {
  const auto got = test_support::run_unary(op, Tensor<T>({2}, {INFINITY, -INFINITY}), Tensor<T>::filled({2}, T(1)), 1);
  return {got.dx[0], got.dx[1]};
}
}  // namespace

TEST_CASE("gelu: an elementwise op") {
  test_support::check_unary(
      op, [](double x) { return x * distribution(x); }, [](double x) { return distribution(x) + x * density(x); },
      true);
}

TEST_CASE("gelu: values by hand") {
  test_support::check_point(op, 0.0, 0.0, 0.5);
  // Phi(1) = .841344746068543 (tables)
  const auto got = test_support::run_unary(op, Tensor<double>({2}, {1, -1}), Tensor<double>({2}, {1, 1}), 1);
  CHECK(std::abs(got.y[0] - 0.841344746068543) < 1e-14);
  CHECK(std::abs(got.y[1] + 0.158655253931457) < 1e-14);
  for (const auto& slope : {run_slope<float>(op), run_slope<float>(tanh_op)}) CHECK((slope[0] == 1 && slope[1] == 0));
  for (const auto& slope : {run_slope<double>(op), run_slope<double>(tanh_op)}) CHECK((slope[0] == 1 && slope[1] == 0));
}

TEST_CASE("gelu_tanh: an elementwise op") {
  test_support::check_unary(
      tanh_op, [](double x) { return x * (1 + std::tanh(inner(x))) / 2; }, tanh_slope, true);
}

TEST_CASE("gelu_tanh: values by hand, near gelu, and far out") {
  test_support::check_point(tanh_op, 0.0, 0.0, 0.5);
  // (1 + tanh(.7978845608 1.044715)) / 2 = .841191990608
  const auto got = test_support::run_unary(tanh_op, Tensor<double>({2}, {1, -1}), Tensor<double>({2}, {1, 1}), 1);
  CHECK(std::abs(got.y[0] - 0.841191990608) < 1e-11);
  CHECK(std::abs(got.y[1] + 0.158808009392) < 1e-11);

  const Tensor<double> x = test_support::random_tensor<double>({1000}, 1, -8, 8), ones = Tensor<double>::filled({1000}, 1);
  const auto exact = test_support::run_unary(op, x, ones, 1), near = test_support::run_unary(tanh_op, x, ones, 1);
  const double away = test_support::largest_error(near.y, exact.y);
  CHECK(away < 5e-4);
  CHECK(away > 1e-4);

  // Where 1 + tanh(u) keeps no digits, and where x^2 and u are too large for a float.
  const Tensor<float> far({8}, {-5, -10, -30, -1e20f, -3e38f, 10, 30, 3e38f}), dy = Tensor<float>::filled({8}, 1);
  const auto edge = test_support::run_unary(tanh_op, far, dy, 1);
  CHECK(std::abs(edge.y[0] / (-5 / (1 + std::exp(-2 * inner(-5)))) - 1) < 1e-5);  // u = 8.4 has an error of half a unit in the last place
  for (Index i = 1; i < 5; ++i) {
    CHECK(std::abs(edge.y[i]) <= 1e-36f);
    CHECK(std::abs(edge.dx[i]) <= 1e-34f);
  }
  for (Index i = 5; i < 8; ++i) {
    CHECK(edge.y[i] == far[i]);
    CHECK(edge.dx[i] == 1);
  }
}

TEST_CASE("gelu: its values are computed again for backward") {
  using namespace test_support;
  check_restores([](auto in) { return gelu(in[0]); }, list(random_tensor<float>({5, 33}, 1)));
  check_restores([](auto in) { return gelu_tanh(in[0]); }, list(random_tensor<float>({5, 33}, 1)));
  // Behind an op that does the same, its input would not be there in time: then it is kept.
  const auto twice = [](bool keeps) {
    Context context(1);
    Tape<float> tape(context);
    const Var<float> x = tape.variable(random_tensor<float>({5, 33}, 1));
    std::vector<Var<float>> kept;
    Var<float> y = gelu(x);
    if (keeps) kept.push_back(y);
    y = gelu(y);
    if (keeps) kept.push_back(y);
    y = y * y;
    tape.backward(y, random_tensor<float>({5, 33}, 2));
    return tape.gradient(x);
  };
  CHECK(same_bits(twice(true), twice(false)));
}
