#include "tombola/ops/scale.hpp"

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {
constexpr auto op = [](auto in) { return scale(in[0], in[1]); };
}

TEST_CASE("scale: values and gradients by hand") {
  Context context(1);
  const Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6}), dy({2, 3}, {1, 10, 100, 2, 20, 200});
  const auto check = [&](const Tensor<float>& s, const Tensor<float>& y, const Tensor<float>& dx,
                         const Tensor<float>& ds) {
    Tape<float> tape(context);
    const Var<float> vx = tape.variable(x), vs = tape.variable(s);
    const Var<float> vy = scale(vx, vs);
    tape.backward(vy, dy);
    CHECK(same_bits<float>(vy.value(), y.view()));
    CHECK(same_bits(tape.gradient(vx), dx));
    CHECK(same_bits(tape.gradient(vs), ds));
  };
  check(Tensor<float>({3}, {2, 0, -1}), Tensor<float>({2, 3}, {2, 0, -3, 8, 0, -6}),
        Tensor<float>({2, 3}, {2, 0, -100, 4, 0, -200}), Tensor<float>({3}, {9, 120, 1500}));
  check(Tensor<float>({1}, {3}), Tensor<float>({2, 3}, {3, 6, 9, 12, 15, 18}),
        Tensor<float>({2, 3}, {3, 30, 300, 6, 60, 600}), Tensor<float>({1}, {1 + 20 + 300 + 8 + 100 + 1200}));
}

TEST_CASE("scale: gradients against differences, one factor for each column and one for all") {
  Context context(1);
  const auto call = [&](auto&, auto in) { return op(in); };
  const auto twice = [](auto&, auto in) { return scale(scale(in[0], in[1]) * in[0], in[1]); };
  for (const Shape& shape : {Shape{3, 5}, Shape{7, 1}, Shape{1, 1}, Shape{17, 33}, Shape{5}, Shape{2, 3, 7}}) {
    for (const Index factors : {shape.last(), Index{1}}) {
      CAPTURE(shape);
      CAPTURE(factors);
      const auto inputs = [&] { return list(random_tensor<double>(shape, 1), random_tensor<double>({factors}, 2)); };
      CHECK(check_gradient(context, inputs(), call) < 1e-8);
      CHECK(check_gradient(context, inputs(), twice) < 1e-8);
    }
  }
  const auto same = [](auto&, auto in) { return scale(in[0], in[0]); };
  CHECK(check_gradient(context, list(random_tensor<double>({5}, 5)), same) < 1e-8);
  CHECK(check_gradient(context, list(random_tensor<double>({1}, 5)), same) < 1e-8);
}

TEST_CASE("scale: inputs apart, added gradients, float, threads") {
  for (const Index factors : {33, 1}) {
    const auto inputs = list(random_tensor<float>({17, 33}, 6), random_tensor<float>({factors}, 7));
    check_inputs_apart(op, inputs);
    check_added_gradients(op, inputs);
    CHECK(float_error(op, inputs) <= 1e-5);  // sums of up to 561 terms of at most 1 in float
  }
  for (const Index factors : {517, 1}) {
    check_threads(op, list(random_tensor<float>({131, 517}, 8), random_tensor<float>({factors}, 9)));
  }
}

TEST_CASE("scale: an empty batch has a gradient of zeros") {
  for (const Index factors : {5, 1}) {
    const OpResult<float> got = run_op(op, list(Tensor<float>({0, 5}), random_tensor<float>({factors}, 10)));
    CHECK(got.y.shape() == Shape{0, 5});
    CHECK(same_bits(got.gradients[1], Tensor<float>({factors})));
  }
}

TEST_CASE("scale: shapes that do not fit are refused") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x({2, 3}), s({2}), scalar(Shape{}), one({1});
  CHECK_THROWS_WITH_AS(scale(tape.input(x), tape.input(s)),
                       "scale: expected x [..., columns] and s [columns] or [1], got [2, 3] and [2]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(scale(tape.input(x), tape.input(scalar)),
                       "scale: expected x [..., columns] and s [columns] or [1], got [2, 3] and []",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(scale(tape.input(scalar), tape.input(one)),
                       "scale: expected x [..., columns] and s [columns] or [1], got [] and [1]",
                       std::invalid_argument);
}
