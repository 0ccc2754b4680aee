#include "tombola/ops/gelu.hpp"

#include "support/op.hpp"
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

TEST_CASE("gelu: its values are computed again for backward") {
  using namespace test_support;
  check_restores([](auto in) { return gelu(in[0]); }, list(random_tensor<float>({5, 33}, 1)));
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
