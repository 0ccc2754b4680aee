#include "tombola/ops/exp.hpp"

#include "support/unary_op.hpp"

using namespace tombola;

namespace {
constexpr auto op = [](const auto& x) { return tombola::exp(x); };
}

TEST_CASE("exp: an elementwise op") {
  test_support::check_unary(
      op, [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); }, true);
}

TEST_CASE("exp: values by hand") {
  test_support::check_point(op, 0.0f, 1.0f, 1.0f);
  test_support::check_point(op, 0.0, 1.0, 1.0);
  test_support::check_point(op, INFINITY, INFINITY, INFINITY);
  test_support::check_point(op, -INFINITY, 0.0f, 0.0f);
}
