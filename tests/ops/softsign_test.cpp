#include "tombola/ops/softsign.hpp"

#include "support/unary_op.hpp"

using namespace tombola;

namespace {
constexpr auto op = [](const auto& x) { return softsign(x); };
}

TEST_CASE("softsign: an elementwise op") {
  // The derivative is continuous, but its own derivative jumps at 0, which spoils differences of order h^4.
  test_support::check_unary(
      op, [](double x) { return x / (1 + std::abs(x)); },
      [](double x) { return 1 / ((1 + std::abs(x)) * (1 + std::abs(x))); }, false);
}

TEST_CASE("softsign: values by hand; the slope at 0 is 1") {
  test_support::check_point(op, 1.0f, 0.5f, 0.25f);
  test_support::check_point(op, -3.0, -0.75, 0.0625);
  test_support::check_point(op, 0.0f, 0.0f, 1.0f);
}
