#include "tombola/ops/pool.hpp"

#include <numeric>

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {

struct Case {
  Shape x;
  PoolOptions options;
};
const Case cases[] = {
    {{2, 4, 6, 3}, {}},
    {{1, 7, 5, 17}, {.window = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}},
    {{3, 5, 4, 2}, {.window = {3, 2}, .stride = {1, 2}, .padding = {1, 0}}},
    {{1, 1, 1, 1}, {.window = {1, 1}, .stride = {1, 1}}},
    {{2, 5, 5, 33}, {.window = {2, 2}, .stride = {3, 3}}},  // pixels that no window sees
};

/// Different numbers at least 1/64 apart, in an order without rhyme: no step of a difference changes which one is the largest.
template <class T>
Tensor<T> distinct(const Shape& shape) {
  Tensor<T> x(shape);
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<T>(i * 7919 % 10007) / 64;
  return x;
}

template <class T>
double padded(const Tensor<T>& x, Index n, Index row, Index column, Index c, double outside) {
  const Shape& s = x.shape();
  if (row < 0 || row >= s[1] || column < 0 || column >= s[2]) return outside;
  return static_cast<double>(x[((n * s[1] + row) * s[2] + column) * s[3] + c]);
}

}  // namespace

TEST_CASE("pooling: values by the definition") {
  Context context(2);
  for (const auto& [shape, o] : cases) {
    const Shape images = shape;  // clang 14 captures no structured bindings
    CAPTURE(images);
    const Tensor<float> x = distinct<float>(shape);
    Inference<float> pass(context);
    const Var<float> largest = max_pool2d(pass.input(x.view()), o), mean = average_pool2d(pass.input(x.view()), o);
    const Shape& ys = largest.shape();
    CHECK(mean.shape() == ys);
    for (Index i = 0; i < ys.size(); ++i) {
      const Index c = i % ys[3], column = i / ys[3] % ys[2], row = i / ys[3] / ys[2] % ys[1], n = i / ys[3] / ys[2] / ys[1];
      double top = -1e30, sum = 0;
      for (Index p = 0; p < o.window[0]; ++p) {
        for (Index q = 0; q < o.window[1]; ++q) {
          const Index a = row * o.stride[0] + p - o.padding[0], b = column * o.stride[1] + q - o.padding[1];
          top = std::max(top, padded(x, n, a, b, c, -1e30));
          sum += padded(x, n, a, b, c, 0);
        }
      }
      CHECK(static_cast<double>(largest.value()[i]) == top);
      CHECK(static_cast<double>(mean.value()[i]) ==
            doctest::Approx(sum / static_cast<double>(o.window[0] * o.window[1])).epsilon(1e-6));
    }
    const Var<float> whole = global_average_pool(pass.input(x.view()));
    CHECK(whole.shape() == Shape{shape[0], shape[3]});
    for (Index i = 0; i < whole.shape().size(); ++i) {
      const Index n = i / shape[3], c = i % shape[3], pixels = shape[1] * shape[2];
      double sum = 0;
      for (Index p = 0; p < pixels; ++p) sum += static_cast<double>(x[(n * pixels + p) * shape[3] + c]);
      CHECK(static_cast<double>(whole.value()[i]) == doctest::Approx(sum / static_cast<double>(pixels)).epsilon(1e-6));
    }
  }
}

TEST_CASE("pooling: gradients against differences") {
  Context context(1);
  for (const auto& [shape, o] : cases) {
    const Shape images = shape;  // clang 14 captures no structured bindings
    CAPTURE(images);
    const auto options = o;
    CHECK(check_gradient(context, list(distinct<double>(shape)), [=](auto&, auto in) { return max_pool2d(in[0], options); }) < 1e-8);
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 1)), [=](auto&, auto in) { return average_pool2d(in[0], options); }) < 1e-8);
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 1)), [](auto&, auto in) { return global_average_pool(in[0]); }) < 1e-8);
  }
  const auto twice = [](auto&, auto in) { return max_pool2d(in[0] * in[0]) + average_pool2d(in[0]); };
  CHECK(check_gradient(context, list(distinct<double>({2, 4, 6, 3})), twice) < 1e-7);  // values up to 156, squared
}

TEST_CASE("pooling: gradients that add up, threads") {
  for (const auto& [shape, o] : cases) {
    const Shape images = shape;  // clang 14 captures no structured bindings
    CAPTURE(images);
    const auto options = o;
    const auto largest = [=](auto in) { return max_pool2d(in[0], options); };
    const auto mean = [=](auto in) { return average_pool2d(in[0], options); };
    const auto global = [](auto in) { return global_average_pool(in[0]); };
    const auto inputs = list(random_tensor<float>(shape, 1));
    check_added_gradients(largest, inputs);
    check_added_gradients(mean, inputs);
    check_added_gradients(global, inputs);
    check_threads(largest, inputs);
    check_threads(mean, inputs);
    check_threads(global, inputs);
  }
}

TEST_CASE("pooling: of equals the first one gets the gradient; NaN wins") {
  Context context(1);
  Tape<float> tape(context);
  const float nan = std::numeric_limits<float>::quiet_NaN(), low = -std::numeric_limits<float>::infinity();
  const Tensor<float> x({1, 2, 6, 1}, {5, 5, 1, nan, low, low, 5, 5, 3, 2, low, low});
  const Var<float> v = tape.variable(x);
  const Var<float> y = max_pool2d(v);
  CHECK(y.value()[0] == 5);
  CHECK(std::isnan(y.value()[1]));
  CHECK(y.value()[2] == low);
  tape.backward(y, Tensor<float>({1, 1, 3, 1}, {1, 2, 3}));
  CHECK(same_bits(tape.gradient(v), Tensor<float>({1, 2, 6, 1}, {1, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0, 0})));
}

TEST_CASE("pooling: what does not fit") {
  Context context(1);
  Tape<float> tape(context);
  const auto zeros = [&](const Shape& shape) { return tape.input(Tensor<float>(shape)); };
  CHECK_THROWS_WITH_AS(max_pool2d(zeros({2, 4, 3})), "max_pool2d: expected x [batch, height, width, channels], got [2, 4, 3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(average_pool2d(zeros({2, 1, 4, 3})),
                       "average_pool2d: expected images at least as large as the window, got [2, 1, 4, 3]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(max_pool2d(zeros({1, 0, 4, 1}), {.padding = {1, 0}}),
                       "max_pool2d: expected images at least as large as the window, got [1, 0, 4, 1]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(max_pool2d(zeros({2, 4, 4, 3}), {.padding = {2, 0}}),
                       "max_pool2d: expected a window and a stride of at least 1 and padding of at most half the window, got 2, 2 and 2",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(max_pool2d(zeros({1, 4, 4, 1}), {.window = {4097, 4097}}),
                       "max_pool2d: expected a window of at most 16777216 pixels, got 4097 x 4097", std::invalid_argument);
  CHECK_THROWS_WITH_AS(average_pool2d(zeros({1, 4, 4, 1}), {.window = {4, Index{1} << 62}, .padding = {0, Index{1} << 62}}),
                       "average_pool2d: expected a window and a stride of at least 1 and padding of at most half the window, got 4611686018427387904, 2 and "
                       "4611686018427387904",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(global_average_pool(zeros({2, 0, 4, 3})),
                       "global_average_pool: expected x [batch, height, width, channels] with pixels, got [2, 0, 4, 3]", std::invalid_argument);
}
