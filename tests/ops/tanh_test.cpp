#include "tombola/ops/tanh.hpp"

#include "support/unary_op.hpp"

using namespace tombola;

namespace {
constexpr auto op = [](const auto& x) { return tombola::tanh(x); };
}

TEST_CASE("tanh: an elementwise op") {
  test_support::check_unary(
      op, [](double x) { return std::tanh(x); }, [](double x) { return 1 / (std::cosh(x) * std::cosh(x)); }, true);
}

TEST_CASE("tanh: values by hand") {
  test_support::check_point(op, 0.0f, 0.0f, 1.0f);
  test_support::check_point(op, 100.0, 1.0, 0.0);
  test_support::check_point(op, -100.0, -1.0, 0.0);
}
