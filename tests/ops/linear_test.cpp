#include "tombola/ops/linear.hpp"

#include "support/matrix_reference.hpp"
#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr auto op = [](auto in) { return linear(in[0], in[1]); };

struct Sizes {
  Shape x;
  Index out;
};
const Sizes sizes[] = {{{3, 5}, 7}, {{7, 1}, 3}, {{1, 1}, 1}, {{17, 33}, 5}, {{5}, 3}, {{2, 3, 7}, 5}};

Shape output_shape(const Shape& x, Index out) {
  Index extents[Shape::max_rank];
  std::copy(x.begin(), x.end(), extents);
  extents[x.rank() - 1] = out;
  return {extents, x.rank()};
}

}  // namespace

TEST_CASE("linear: values and gradients by hand") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6}), w({2, 3}, {1, 0, 2, 0, 1, -1});
  const Var<float> vx = tape.variable(x), vw = tape.variable(w);
  const Var<float> y = linear(vx, vw);
  tape.backward(y, Tensor<float>({2, 2}, {1, 10, 100, 1000}));
  CHECK(same_bits<float>(y.value(), Tensor<float>({2, 2}, {7, -1, 16, -1})));
  CHECK(same_bits(tape.gradient(vx), Tensor<float>({2, 3}, {1, 10, -8, 100, 1000, -800})));
  CHECK(same_bits(tape.gradient(vw), Tensor<float>({2, 3}, {401, 502, 603, 4010, 5020, 6030})));
}

TEST_CASE("linear: values and gradients against Eigen") {
  const auto compare = [&]<class T>(T, double tolerance) {
    for (const Sizes& size : sizes) {
      const Shape& shape = size.x;
      const Index out = size.out;
      CAPTURE(shape);
      const auto inputs = list(random_tensor<T>(shape, 1), random_tensor<T>({out, shape.last()}, 2));
      const OpResult<T> got = run_op(op, inputs);
      const Shape ys = output_shape(shape, out);
      const EigenMatrix x = to_eigen(inputs[0]), w = to_eigen(inputs[1]), dy = to_eigen(random_tensor<T>(ys, 99));
      CHECK(largest_error(got.y, from_eigen(x * w.transpose(), ys)) <= tolerance);
      CHECK(largest_error(got.gradients[0], from_eigen(dy * w, shape)) <= tolerance);
      CHECK(largest_error(got.gradients[1], from_eigen(dy.transpose() * x, inputs[1].shape())) <= tolerance);
    }
  };
  compare(double(), 1e-14);  // sums of at most 33 products of numbers below 1
  compare(float(), 5e-6);
}

TEST_CASE("linear: gradients against differences") {
  Context context(1);
  for (const Sizes& size : sizes) {
    const Shape& shape = size.x;
    const Index out = size.out;
    CAPTURE(shape);
    const auto call = [&](auto&, auto in) { return op(in); };
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 3), random_tensor<double>({out, shape.last()}, 4)),
                         call) < 1e-8);
  }
  const auto twice = [](auto&, auto in) { return linear(linear(in[0], in[1]) * in[0], in[1]); };
  CHECK(check_gradient(context, list(random_tensor<double>({3, 5}, 5), random_tensor<double>({5, 5}, 6)), twice) <
        1e-8);
  const auto same = [](auto&, auto in) { return linear(in[0], in[0]); };
  CHECK(check_gradient(context, list(random_tensor<double>({3, 5}, 7)), same) < 1e-8);
}

TEST_CASE("linear: inputs apart, added gradients, threads") {
  const auto inputs = list(random_tensor<float>({17, 33}, 6), random_tensor<float>({5, 33}, 7));
  check_inputs_apart(op, inputs);
  check_added_gradients(op, inputs);
  check_threads(op, list(random_tensor<float>({131, 157}, 8), random_tensor<float>({113, 157}, 9)));
}

TEST_CASE("linear: an empty batch has a weight gradient of zeros; no inputs sum to zero") {
  const OpResult<float> got = run_op(op, list(Tensor<float>({0, 3}), random_tensor<float>({5, 3}, 10)));
  CHECK(got.y.shape() == Shape{0, 5});
  CHECK(same_bits(got.gradients[1], Tensor<float>({5, 3})));
  CHECK(same_bits(run_op(op, list(Tensor<float>({4, 0}), Tensor<float>({5, 0}))).y, Tensor<float>({4, 5})));
}

TEST_CASE("linear: shapes that do not fit are refused") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x({5, 7}), w({3, 6}), vector({7}), scalar{Shape{}}, one({1, 1});
  const auto call = [&](const Tensor<float>& u, const Tensor<float>& v) {
    return linear(tape.input(u), tape.input(v));
  };
  CHECK_THROWS_WITH_AS(call(x, w), "linear: expected x [..., in] and w [out, in], got [5, 7] and [3, 6]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(x, vector), "linear: expected x [..., in] and w [out, in], got [5, 7] and [7]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(scalar, one), "linear: expected x [..., in] and w [out, in], got [] and [1, 1]",
                       std::invalid_argument);
}
