#include "tombola/ops/matmul.hpp"

#include "support/matrix_reference.hpp"
#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr auto op = [](auto in) { return matmul(in[0], in[1]); };

struct Sizes {
  Index m, k, n;
};
constexpr Sizes sizes[] = {{3, 5, 7}, {7, 1, 3}, {1, 1, 1}, {17, 33, 5}, {1, 33, 17}, {31, 3, 1}};

}  // namespace

TEST_CASE("matmul: values and gradients by hand") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> a({2, 3}, {1, 2, 3, 4, 5, 6}), b({3, 2}, {1, 0, 0, 1, 2, -1});
  const Var<float> va = tape.variable(a), vb = tape.variable(b);
  const Var<float> y = matmul(va, vb);
  tape.backward(y, Tensor<float>({2, 2}, {1, 10, 100, 1000}));
  CHECK(same_bits<float>(y.value(), Tensor<float>({2, 2}, {7, -1, 16, -1})));
  CHECK(same_bits(tape.gradient(va), Tensor<float>({2, 3}, {1, 10, -8, 100, 1000, -800})));
  CHECK(same_bits(tape.gradient(vb), Tensor<float>({3, 2}, {401, 4010, 502, 5020, 603, 6030})));
}

TEST_CASE("matmul: values and gradients against Eigen") {
  const auto compare = [&]<class T>(T, double tolerance) {
    for (const auto& [m, k, n] : sizes) {
      const auto inputs = list(random_tensor<T>({m, k}, 1), random_tensor<T>({k, n}, 2));
      const OpResult<T> got = run_op(op, inputs);
      const EigenMatrix a = to_eigen(inputs[0]), b = to_eigen(inputs[1]), dy = to_eigen(random_tensor<T>({m, n}, 99));
      CHECK(largest_error(got.y, from_eigen(a * b, {m, n})) <= tolerance);
      CHECK(largest_error(got.gradients[0], from_eigen(dy * b.transpose(), {m, k})) <= tolerance);
      CHECK(largest_error(got.gradients[1], from_eigen(a.transpose() * dy, {k, n})) <= tolerance);
    }
  };
  compare(double(), 1e-14);  // sums of at most 33 products of numbers below 1
  compare(float(), 5e-6);
}

TEST_CASE("matmul: gradients against differences") {
  Context context(1);
  for (const auto& [m, k, n] : sizes) {
    const auto inputs = list(random_tensor<double>({m, k}, 3), random_tensor<double>({k, n}, 4));
    const auto call = [&](auto&, auto in) { return op(in); };
    std::vector<Tensor<double>> copies;
    for (const auto& input : inputs) copies.push_back(input.clone());
    CHECK(check_gradient(context, std::move(copies), call) < 1e-8);
  }
  const auto square = [](auto&, auto in) { return matmul(matmul(in[0], in[0]), in[0]); };
  CHECK(check_gradient(context, list(random_tensor<double>({5, 5}, 5)), square) < 1e-8);
}

TEST_CASE("matmul: inputs apart, added gradients, threads") {
  const auto inputs = list(random_tensor<float>({17, 33}, 6), random_tensor<float>({33, 5}, 7));
  check_inputs_apart(op, inputs);
  check_added_gradients(op, inputs);
  check_threads(op, list(random_tensor<float>({131, 157}, 8), random_tensor<float>({157, 113}, 9)));
}

TEST_CASE("matmul: nothing in one of the three places") {
  const OpResult<float> rows = run_op(op, list(Tensor<float>({0, 3}), random_tensor<float>({3, 5}, 10)));
  CHECK(rows.y.shape() == Shape{0, 5});
  CHECK(same_bits(rows.gradients[1], Tensor<float>({3, 5})));
  const OpResult<float> columns = run_op(op, list(random_tensor<float>({3, 5}, 10), Tensor<float>({5, 0})));
  CHECK(columns.y.shape() == Shape{3, 0});
  CHECK(same_bits(columns.gradients[0], Tensor<float>({3, 5})));
  const OpResult<float> terms = run_op(op, list(Tensor<float>({3, 0}), Tensor<float>({0, 5})));
  CHECK(same_bits(terms.y, Tensor<float>({3, 5})));  // sums of nothing
}

TEST_CASE("matmul: shapes that do not fit are refused") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> a({2, 3}), b({2, 3}), cube({2, 3, 1}), vector({3});
  const auto call = [&](const Tensor<float>& u, const Tensor<float>& v) {
    return matmul(tape.input(u), tape.input(v));
  };
  CHECK_THROWS_WITH_AS(call(a, b), "matmul: expected a [m, k] and b [k, n], got [2, 3] and [2, 3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(cube, a), "matmul: expected a [m, k] and b [k, n], got [2, 3, 1] and [2, 3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(a, vector), "matmul: expected a [m, k] and b [k, n], got [2, 3] and [3]",
                       std::invalid_argument);
}
