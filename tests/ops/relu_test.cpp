#include "tombola/ops/relu.hpp"

#include "support/unary_op.hpp"

using namespace tombola;

namespace {
constexpr auto op = [](const auto& x) { return relu(x); };
}

TEST_CASE("relu: an elementwise op") {
  test_support::check_unary(
      op, [](double x) { return std::max(x, 0.0); }, [](double x) { return x > 0 ? 1.0 : 0.0; }, false);
}

TEST_CASE("relu: values by hand; the slope at 0 is 0") {
  test_support::check_point(op, 2.5f, 2.5f, 1.0f);
  test_support::check_point(op, -2.5f, 0.0f, 0.0f);
  test_support::check_point(op, 0.0f, 0.0f, 0.0f);
  test_support::check_point(op, -0.0, 0.0, 0.0);
}
