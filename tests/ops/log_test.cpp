#include "tombola/ops/log.hpp"

#include "support/unary_op.hpp"
#include "tombola/ops/exp.hpp"

using namespace tombola;

namespace {
constexpr auto op = [](const auto& x) { return tombola::log(x); };
}

TEST_CASE("log: an elementwise op") {
  // Of numbers above a quarter, where the differences' error is below 1e-9.
  test_support::check_unary(
      op, [](double x) { return std::log(x); }, [](double x) { return 1 / x; }, true, {0.25, 4});
}

TEST_CASE("log: values by hand") {
  test_support::check_point(op, 1.0f, 0.0f, 1.0f);
  test_support::check_point(op, 1.0, 0.0, 1.0);
  test_support::check_point(op, 0.0f, -INFINITY, INFINITY);
  test_support::check_point(op, INFINITY, INFINITY, 0.0f);
}

TEST_CASE("log of exp is what it was") {
  Context context(1);
  const Tensor<double> x = test_support::random_tensor<double>({17, 3}, 1, -4, 4);
  Inference<double> pass(context);
  const Var<double> y = tombola::log(tombola::exp(pass.input(x)));
  for (Index i = 0; i < x.size(); ++i)
    CHECK(std::abs(y.value()[i] - x[i]) < 1e-14);  // a rounding of e^x moves ln by 2e-16
}
