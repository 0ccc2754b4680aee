#include "tombola/ops/reshape.hpp"

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {
constexpr auto op = [](auto in) { return reshape(in[0], {5, 3}); };
}

TEST_CASE("reshape: the same elements, without a copy on a tape") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x = random_tensor<float>({2, 3, 4}, 1);
  const Var<float> in = tape.variable(x);
  CHECK(reshape(in, {6, 4}).value().data() == x.data());
  CHECK(reshape(in, {6, 4}).shape() == Shape{6, 4});
  CHECK(flatten(in).shape() == Shape{2, 12});
  const Tensor<float> empty({0, 7});
  CHECK(flatten(tape.input(empty)).shape() == Shape{0, 0});
}

TEST_CASE("reshape: gradients") {
  Context context(1);
  CHECK(check_gradient(context, list(random_tensor<double>({3, 5}, 2)),
                       [](auto&, auto in) { return reshape(in[0], {15}) * reshape(in[0] * in[0], {15}); }) < 1e-8);
  CHECK(check_gradient(context, list(random_tensor<double>({2, 3, 5}, 3)),
                       [](auto&, auto in) { return flatten(in[0] * in[0]); }) < 1e-8);
  const OpResult<float> got = run_op(op, list(random_tensor<float>({3, 5}, 4)));
  CHECK(same_bits(got.gradients[0], random_tensor<float>({3, 5}, 99)));  // dy itself, in the shape of x
  check_added_gradients(op, list(random_tensor<float>({3, 5}, 4)));
  check_inputs_apart(op, list(random_tensor<float>({3, 5}, 4)));
}

TEST_CASE("reshape: a result outlives what it was made from") {
  Context context(1);
  const Tensor<float> x({4}, {1, 2, 3, 4});
  SUBCASE("in inference") {
    Inference<float> pass(context);
    const Var<float> y = reshape(pass.input(x) * 2, {2, 2});
    const Var<float> other = pass.input(x) * 100;  // would take the place of a dropped value
    CHECK(same_bits<float>(y.value(), Tensor<float>({2, 2}, {2, 4, 6, 8})));
    CHECK(other.value()[0] == 100);
  }
  SUBCASE("on a tape, after backward") {
    Tape<float> tape(context);
    const Var<float> y = reshape(tape.variable(x) * 2, {2, 2});
    const Var<float> loss = y * y;
    tape.backward(loss, Tensor<float>({2, 2}));
    Tensor<float> other = Tensor<float>::uninitialized({4}, context.pool());
    std::fill_n(other.data(), 4, -1.0f);
    CHECK(same_bits<float>(y.value(), Tensor<float>({2, 2}, {2, 4, 6, 8})));
  }
}

TEST_CASE("reshape: another number of elements is refused") {
  Context context(1);
  Tape<float> tape(context);
  Inference<float> inference(context);
  const Tensor<float> x({2, 3}), scalar(Shape{});
  CHECK_THROWS_WITH_AS(reshape(tape.input(x), {7}), "reshape: expected 6 elements, got [7]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(reshape(inference.input(x), {7}), "reshape: expected 6 elements, got [7]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(flatten(tape.input(scalar)), "flatten: expected at least one axis, got []",
                       std::invalid_argument);
}
