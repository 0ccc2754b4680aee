#include "tombola/ops/repeat.hpp"

#include "support/op.hpp"
#include "tombola/ops/arithmetic.hpp"

using namespace tombola;
using namespace test_support;

TEST_CASE("repeat_each: values and gradients by hand") {
  Context context(1);
  Tape<float> tape(context);
  const Var<float> x = tape.variable(Tensor<float>({2}, {3, -1}));
  const Var<float> y = repeat_each(x, 3);
  const Tensor<float> expected({6}, {3, 3, 3, -1, -1, -1});
  CHECK(same_bits<float>(y.value(), expected.view()));
  tape.backward(y, Tensor<float>({6}, {1, 2, 4, 8, 16, 32}));
  CHECK(same_bits(tape.gradient(x), Tensor<float>({2}, {7, 56})));
}

TEST_CASE("repeat_each: gradients against differences, and that add up") {
  Context context(1);
  for (const Index columns : {1, 7, 33}) {
    for (const Index times : {1, 2, 5}) {
      CAPTURE(columns);
      CAPTURE(times);
      const auto twice = [times](auto&, auto in) { return repeat_each(in[0], times) * repeat_each(in[0] * in[0], times); };
      CHECK(check_gradient(context, list(random_tensor<double>({columns}, 1)), twice) < 1e-8);
      check_added_gradients([times](auto in) { return repeat_each(in[0], times); }, list(random_tensor<float>({columns}, 2)));
    }
  }
}

TEST_CASE("repeat_each: nothing, and what does not fit") {
  Context context(1);
  Inference<float> pass(context);
  const auto zeros = [&](const Shape& shape) { return pass.input(Tensor<float>(shape)); };
  CHECK(repeat_each(zeros({0}), 3).shape() == Shape{0});
  CHECK_THROWS_WITH_AS(repeat_each(zeros({2, 2}), 3), "repeat_each: expected x [columns] and at least one time, got [2, 2] and 3", std::invalid_argument);
  CHECK_THROWS_WITH_AS(repeat_each(zeros({2}), 0), "repeat_each: expected x [columns] and at least one time, got [2] and 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(repeat_each(zeros({4}), Index{1} << 62),  // 2^64 elements
                       "shape: expected an addressable number of elements, got at least 4 times 4611686018427387904", std::invalid_argument);
}
