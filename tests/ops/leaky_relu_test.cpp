#include "tombola/ops/leaky_relu.hpp"

#include "support/unary_op.hpp"

using namespace tombola;

TEST_CASE("leaky_relu: an elementwise op") {
  test_support::check_unary([](const auto& x) { return leaky_relu(x, 0.125); },
                            [](double x) { return x < 0 ? 0.125 * x : x; }, [](double x) { return x > 0 ? 1 : 0.125; },
                            false);
}

TEST_CASE("leaky_relu: values by hand; the slope at 0 is a, by default .01") {
  constexpr auto standard = [](const auto& x) { return leaky_relu(x); };
  test_support::check_point(standard, 2.0f, 2.0f, 1.0f);
  test_support::check_point(standard, -2.0f, -0.02f, 0.01f);
  test_support::check_point(standard, 0.0, 0.0, 0.01);
  test_support::check_point([](const auto& x) { return leaky_relu(x, -0.5); }, -3.0, 1.5, -0.5);
}
