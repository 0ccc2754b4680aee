#include "tombola/ops/bias.hpp"

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {
constexpr auto op = [](auto in) { return add_bias(in[0], in[1]); };
}

TEST_CASE("add_bias: values and gradients by hand") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6}), b({3}, {10, 20, 30});
  const Var<float> vx = tape.variable(x), vb = tape.variable(b);
  const Var<float> y = add_bias(vx, vb);
  tape.backward(y, Tensor<float>({2, 3}, {1, 2, 3, 40, 50, 60}));
  CHECK(same_bits<float>(y.value(), Tensor<float>({2, 3}, {11, 22, 33, 14, 25, 36})));
  CHECK(same_bits(tape.gradient(vx), Tensor<float>({2, 3}, {1, 2, 3, 40, 50, 60})));
  CHECK(same_bits(tape.gradient(vb), Tensor<float>({3}, {41, 52, 63})));
}

TEST_CASE("add_bias: gradients against differences") {
  Context context(1);
  for (const Shape& shape : {Shape{3, 5}, Shape{7, 1}, Shape{1, 1}, Shape{17, 33}, Shape{5}, Shape{2, 3, 7}}) {
    CAPTURE(shape);
    const auto call = [&](auto&, auto in) { return op(in); };
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 1), random_tensor<double>({shape.last()}, 2)),
                         call) < 1e-8);
  }
  const auto twice = [](auto&, auto in) { return add_bias(add_bias(in[0], in[1]) * in[0], in[1]); };
  CHECK(check_gradient(context, list(random_tensor<double>({3, 5}, 3), random_tensor<double>({5}, 4)), twice) < 1e-8);
}

TEST_CASE("add_bias: x and b the same vector") {
  Context context(1);
  const auto same = [](auto&, auto in) { return add_bias(in[0], in[0]); };
  CHECK(check_gradient(context, list(random_tensor<double>({5}, 5)), same) < 1e-8);
}

TEST_CASE("add_bias: inputs apart, added gradients, float, threads") {
  const auto inputs = list(random_tensor<float>({17, 33}, 6), random_tensor<float>({33}, 7));
  check_inputs_apart(op, inputs);
  check_added_gradients(op, inputs);
  CHECK(float_error(op, inputs) <= 2e-6);  // sums of 17 terms in float
  check_threads(op, list(random_tensor<float>({131, 517}, 8), random_tensor<float>({517}, 9)));
}

TEST_CASE("add_bias: an empty batch has a bias gradient of zeros") {
  const OpResult<float> got = run_op(op, list(Tensor<float>({0, 5}), random_tensor<float>({5}, 10)));
  CHECK(got.y.shape() == Shape{0, 5});
  CHECK(same_bits(got.gradients[1], Tensor<float>({5})));
}

TEST_CASE("add_bias: shapes that do not fit are refused") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x({2, 3}), b({2}), column({3, 1}), scalar(Shape{}), one({1});
  CHECK_THROWS_WITH_AS(add_bias(tape.input(x), tape.input(b)),
                       "add_bias: expected x [..., columns] and b [columns], got [2, 3] and [2]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(add_bias(tape.input(x), tape.input(column)),
                       "add_bias: expected x [..., columns] and b [columns], got [2, 3] and [3, 1]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(add_bias(tape.input(scalar), tape.input(one)),
                       "add_bias: expected x [..., columns] and b [columns], got [] and [1]", std::invalid_argument);
}
