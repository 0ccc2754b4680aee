#include "tombola/ops/channels_first.hpp"

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

TEST_CASE("channels_first, channels_last: values, gradients, threads") {
  constexpr auto op = [](auto in) { return channels_first(in[0]); };
  constexpr auto back = [](auto in) { return channels_last(in[0]); };
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{1, 1, 1, 1}, Shape{3, 2, 7, 1}}) {
    CAPTURE(shape);
    const Tensor<float> x = random_tensor<float>(shape, 1);
    const OpResult<float> got = run_op(op, list(Tensor<float>::copy_of(x.view())));
    CHECK(got.y.shape() == Shape{shape[0], shape[3], shape[1], shape[2]});
    const Index pixels = shape[1] * shape[2];
    for (Index i = 0; i < x.size(); ++i) {
      const Index n = i / shape[3] / pixels, p = i / shape[3] % pixels, c = i % shape[3];
      CHECK(got.y[(n * shape[3] + c) * pixels + p] == x[i]);
    }
    Context context(1);
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 2)), [](auto&, auto in) { return channels_first(in[0]) * channels_first(in[0]); }) < 1e-8);
    check_added_gradients(op, list(random_tensor<float>(shape, 3)));
    check_threads(op, list(random_tensor<float>(shape, 4)));

    const Tensor<float>& planes = got.y;
    const OpResult<float> pixels_again = run_op(back, list(Tensor<float>::copy_of(planes.view())));
    CHECK(same_bits(pixels_again.y, x));
    const auto twice_back = [](auto&, auto in) { return channels_last(in[0]) * channels_last(in[0]); };
    CHECK(check_gradient(context, list(random_tensor<double>(planes.shape(), 2)), twice_back) < 1e-8);
    check_added_gradients(back, list(random_tensor<float>(planes.shape(), 3)));
    check_threads(back, list(random_tensor<float>(planes.shape(), 4)));
  }
  Context context(1);
  Tape<float> tape(context);
  CHECK_THROWS_WITH_AS(channels_last(tape.input(Tensor<float>({2, 3}))), "channels_last: expected x [batch, channels, height, width], got [2, 3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(channels_first(tape.input(Tensor<float>({2, 3}))), "channels_first: expected x [batch, height, width, channels], got [2, 3]",
                       std::invalid_argument);
}
