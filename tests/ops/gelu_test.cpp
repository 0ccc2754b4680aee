#include "tombola/ops/gelu.hpp"

#include "support/unary_op.hpp"

using namespace tombola;

namespace {
constexpr auto op = [](const auto& x) { return gelu(x); };
double distribution(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }
double density(double x) { return std::exp(-x * x / 2) / std::sqrt(8 * std::atan(1.0)); }
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
}
