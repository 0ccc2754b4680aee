#include "tombola/ops/elu.hpp"

#include "support/unary_op.hpp"

using namespace tombola;

TEST_CASE("elu: an elementwise op") {
  // With alpha 1 the derivative is continuous, but its own derivative jumps at 0, which spoils differences of order h^4.
  test_support::check_unary([](const auto& x) { return elu(x); }, [](double x) { return x < 0 ? std::expm1(x) : x; },
                            [](double x) { return x > 0 ? 1 : std::exp(x); }, false);
}

TEST_CASE("elu: an elementwise op with another alpha") {
  test_support::check_unary([](const auto& x) { return elu(x, 0.25); },
                            [](double x) { return x < 0 ? 0.25 * std::expm1(x) : x; },
                            [](double x) { return x > 0 ? 1 : 0.25 * std::exp(x); }, false);
}

TEST_CASE("elu: values by hand; the slope at 0 is alpha") {
  constexpr auto op = [](const auto& x) { return elu(x, 0.25); };
  test_support::check_point(op, 2.0f, 2.0f, 1.0f);
  test_support::check_point(op, 0.0f, 0.0f, 0.25f);
  test_support::check_point(op, -200.0f, -0.25f, 0.0f);
}
