#include "tombola/ops/sigmoid.hpp"

#include "support/unary_op.hpp"

using namespace tombola;

namespace {
constexpr auto op = [](const auto& x) { return sigmoid(x); };
double logistic(double x) { return 1 / (1 + std::exp(-x)); }
}  // namespace

TEST_CASE("sigmoid: an elementwise op") {
  test_support::check_unary(
      op, logistic, [](double x) { return logistic(x) * logistic(-x); }, true);
}

TEST_CASE("sigmoid: values by hand") {
  test_support::check_point(op, 0.0f, 0.5f, 0.25f);
  test_support::check_point(op, 100.0f, 1.0f, 0.0f);
  const auto got = test_support::run_unary(op, Tensor<double>({1}, {std::log(3.0)}), Tensor<double>({1}, {1.0}), 1);
  CHECK(std::abs(got.y[0] - 0.75) < 1e-15);
  CHECK(std::abs(got.dx[0] - 0.1875) < 1e-15);
}
