#include "tombola/ops/sum.hpp"

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

TEST_CASE("sum and mean: values and gradients by hand") {
  Context context(1);
  const Tensor<float> x({2, 2}, {1, 2, 3, -10});
  Tape<float> tape(context), other(context);
  const Var<float> a = tape.variable(x), b = other.variable(x);
  const Var<float> total = sum(a, 3), average = mean(b);
  CHECK(total.shape() == Shape{});
  CHECK(total.item() == -12);
  CHECK(average.item() == -1);
  tape.backward(total);
  other.backward(average);
  CHECK(same_bits(tape.gradient(a), Tensor<float>::filled({2, 2}, 3)));
  CHECK(same_bits(other.gradient(b), Tensor<float>::filled({2, 2}, 0.25f)));
}

TEST_CASE("sum and mean: gradients against differences") {
  Context context(1);
  for (const Shape& shape : {Shape{3, 5}, Shape{7, 1}, Shape{1, 1}, Shape{17, 33}, Shape{}}) {
    CAPTURE(shape);
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 1)),
                         [](auto&, auto in) { return sum(in[0] * in[0], -0.5); }) < 1e-8);
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 2)),
                         [](auto&, auto in) { return mean(in[0] * in[0]) + sum(in[0]); }) < 1e-8);
  }
}

TEST_CASE("sum: against the sum in double") {
  const Tensor<float> x = random_tensor<float>({49157}, 3);
  double expected = 0;
  for (const float v : x) expected += static_cast<double>(v);
  Context context(1);
  Tape<float> tape(context);
  // Terms of at most 1 in 16 lanes of 1024 additions each, then in double: roundings of about 1e-7 times the running sum (30).
  CHECK(std::abs(static_cast<double>(sum(tape.input(x)).item()) - expected) < 1e-3);
  // All of one sign, so that lost low bits would add up.
  const Tensor<float> ones = Tensor<float>::filled({1 << 20}, 1.0f);
  CHECK(sum(tape.input(ones)).item() == 1 << 20);
}

TEST_CASE("sum and mean: added gradients, no gradient, threads") {
  const auto total = [](auto in) { return sum(in[0], 0.3f); };
  const auto average = [](auto in) { return mean(in[0]); };
  check_added_gradients<float>(total, list(random_tensor<float>({17, 33}, 4)));
  check_added_gradients<float>(average, list(random_tensor<float>({17, 33}, 4)));
  check_inputs_apart<float>(total, list(random_tensor<float>({17, 33}, 5)));
  check_threads<float>(total, list(random_tensor<float>({49157}, 6)));
  check_threads<float>(average, list(random_tensor<float>({49157}, 6)));
}

TEST_CASE("sum of nothing is 0; the mean of nothing is refused") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> empty({0, 3});
  const Var<float> x = tape.variable(empty);
  const Var<float> y = sum(x);
  CHECK(y.item() == 0);
  tape.backward(y);
  CHECK(tape.gradient(x).shape() == Shape{0, 3});
  CHECK_THROWS_WITH_AS(mean(x), "mean: expected at least one element, got [0, 3]", std::invalid_argument);
}
