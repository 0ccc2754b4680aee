#include "tombola/ops/conv2d.hpp"

#include "support/convolution.hpp"
#include "support/op.hpp"
#include "support/worst.hpp"

using namespace tombola;
using namespace test_support;

namespace {

struct Case {
  Shape x, w;
  ConvOptions options;
};
const Case cases[] = {
    {{2, 5, 7, 3}, {4, 3, 3, 3}, {.padding = {1, 1}}},
    {{1, 6, 5, 4}, {6, 2, 3, 2}, {.stride = {2, 1}, .padding = {0, 1}, .groups = 2}},
    {{2, 7, 7, 3}, {3, 3, 3, 1}, {.padding = {2, 2}, .dilation = {2, 2}, .groups = 3}},  // depthwise
    {{3, 3, 2, 5}, {7, 1, 1, 5}, {}},                                                     // a plain product
    {{3, 5, 5, 5}, {2, 1, 1, 5}, {.stride = {2, 2}}},
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {{2, 5, 4, 3}, {6, 3, 3, 1}, {.padding = {1, 1}, .groups = 3}},  // two outputs of each channel
};
const Case large = {{16, 8, 8, 32}, {33, 3, 3, 32}, {.padding = {1, 1}}};  // by Winograd's algorithm

}  // namespace

TEST_CASE("conv2d: values and gradients by hand") {
  Context context(1);
  Tape<float> tape(context);
  // One image of 2 x 3 pixels and one channel, a kernel of 2 x 2.
  const Tensor<float> x({1, 2, 3, 1}, {1, 2, 3, 4, 5, 6}), w({1, 2, 2, 1}, {1, 10, 100, 1000});
  const Var<float> vx = tape.variable(x), vw = tape.variable(w);
  const Var<float> y = conv2d(vx, vw);
  tape.backward(y, Tensor<float>({1, 1, 2, 1}, {1, 2}));
  CHECK(same_bits<float>(y.value(), Tensor<float>({1, 1, 2, 1}, {5421, 6532})));
  CHECK(same_bits(tape.gradient(vx), Tensor<float>({1, 2, 3, 1}, {1, 12, 20, 100, 1200, 2000})));
  CHECK(same_bits(tape.gradient(vw), Tensor<float>({1, 2, 2, 1}, {5, 8, 14, 17})));
}

TEST_CASE("conv2d: values and gradients by the definition, whatever kernel computes them") {
  std::vector<Case> all(std::begin(cases), std::end(cases));
  all.push_back(large);
  all.push_back({{130, 1, 3, 37}, {19, 1, 1, 37}, {}});
  for (const Case& each : all) {
    const auto& [x, w, o] = each;
    test::ConvShape s{.batch = x[0], .height = x[1], .width = x[2], .in = x[3], .out = w[0], .kernel_y = w[1], .kernel_x = w[2]};
    s.stride_y = o.stride[0], s.stride_x = o.stride[1], s.padding_y = o.padding[0], s.padding_x = o.padding[1];
    s.dilation_y = o.dilation[0], s.dilation_x = o.dilation[1], s.groups = o.groups;
    CAPTURE(test::text(s));
    test::ConvArrays<float> a(s);
    convolve_directly(s, a);
    Context context(1);
    Tape<float> tape(context);
    const auto tensor = [](const Shape& shape, const std::vector<float>& values) {
      Tensor<float> made(shape);
      std::copy(values.begin(), values.end(), made.data());
      return made;
    };
    const Var<float> vx = tape.variable(tensor(x, a.x)), vw = tape.variable(tensor(w, a.w)), y = conv2d(vx, vw, o);
    const Tensor<float> got = Tensor<float>::copy_of(y.value());
    tape.backward(y, tensor(y.shape(), a.dy));
    // Sums of multiples of 1/64 are exact, but for Winograd's algorithm, whose error is some 1e-6 of sums of up to 1,024 terms.
    const float tolerance = each.x == large.x ? 1e-3f : 0;
    const auto check = [&](const Tensor<float>& values, const std::vector<float>& expected) {
      float worst = 0;
      for (Index i = 0; i < values.size(); ++i) test::widen(worst, std::abs(values[i] - expected[static_cast<std::size_t>(i)]));
      CHECK(worst <= tolerance);
    };
    check(got, a.y);
    check(tape.gradient(vx), a.dx);
    check(tape.gradient(vw), a.dw);
  }
}

TEST_CASE("conv2d: gradients against differences") {
  Context context(1);
  for (const Case& each : cases) {
    CAPTURE(each.x);
    const auto f = [&](auto&, auto in) { return conv2d(in[0], in[1], each.options); };
    CHECK(check_gradient(context, list(random_tensor<double>(each.x, 1), random_tensor<double>(each.w, 2)), f) < 1e-8);
  }
  const auto twice = [](auto&, auto in) { return conv2d(conv2d(in[0], in[1], {.padding = {1, 1}}) * in[0], in[1]); };
  CHECK(check_gradient(context, list(random_tensor<double>({2, 5, 4, 3}, 3), random_tensor<double>({3, 3, 3, 3}, 4)), twice) < 1e-8);
}

TEST_CASE("conv2d: an empty batch has a weight gradient of zeros") {
  const auto f = [](auto in) { return conv2d(in[0], in[1]); };
  const OpResult<float> got = run_op(f, list(Tensor<float>({0, 5, 5, 3}), random_tensor<float>({4, 3, 3, 3}, 10)));
  CHECK(got.y.shape() == Shape{0, 3, 3, 4});
  CHECK(same_bits(got.gradients[1], Tensor<float>({4, 3, 3, 3})));
}

TEST_CASE("conv2d: images of padding alone") {
  const auto f = [](auto in) { return conv2d(in[0], in[1], {.padding = {3, 1}}); };
  for (const Index channels : {2, 32}) {  // directly, and by Winograd's algorithm
    const OpResult<float> got = run_op(f, list(Tensor<float>({32, 0, 8, channels}), random_tensor<float>({32, 3, 3, channels}, 10)));
    CHECK(same_bits(got.y, Tensor<float>({32, 4, 8, 32})));
    CHECK(got.gradients[0].size() == 0);
    CHECK(same_bits(got.gradients[1], Tensor<float>({32, 3, 3, channels})));
  }
}

TEST_CASE("conv2d: the largest strides, dilations and padding") {
  constexpr Index most = Index{1} << 24;
  Context context(1);
  Inference<double> pass(context);
  const Tensor<double> x = random_tensor<double>({1, 1, 1, 32}, 1), w = random_tensor<double>({32, 3, 3, 32}, 2);
  const Var<double> y = conv2d(pass.input(x), pass.input(w), {.stride = {most, most}, .padding = {most, most}, .dilation = {most, most}});
  REQUIRE(y.shape() == Shape{1, 1, 1, 32});
  for (Index o = 0; o < 32; ++o) {  // the tap in the middle alone sees the image
    double sum = 0;
    for (Index c = 0; c < 32; ++c) sum += x[c] * w[(o * 9 + 4) * 32 + c];
    CHECK(std::abs(y.value()[o] - sum) < 1e-13);  // 32 roundings of numbers below 32
  }
}

TEST_CASE("conv2d: inputs apart, gradients that add up, threads") {
  std::vector<Case> all(std::begin(cases), std::end(cases));
  all.push_back(large);
  for (const Case& each : all) {
    CAPTURE(each.x);
    const auto f = [&](auto in) { return conv2d(in[0], in[1], each.options); };
    const auto inputs = list(random_tensor<float>(each.x, 1), random_tensor<float>(each.w, 2));
    check_inputs_apart(f, inputs);
    check_added_gradients(f, inputs);
    check_threads(f, inputs);
  }
}

TEST_CASE("conv2d: what does not fit") {
  Context context(1);
  Tape<float> tape(context), other(context);
  const auto zeros = [](Tape<float>& in, const Shape& shape) { return in.input(Tensor<float>(shape)); };
  const auto refuses = [&](const Shape& x, const Shape& w, const ConvOptions& options, const char* message) {
    CHECK_THROWS_WITH_AS(conv2d(zeros(tape, x), zeros(tape, w), options), message, std::invalid_argument);
  };
  refuses({2, 5, 5}, {4, 3, 3, 3}, {},
          "conv2d: expected x [batch, height, width, in] and w [out, kernel height, kernel width, in / 1], got [2, 5, 5] and [4, 3, 3, 3]");
  refuses({2, 5, 5, 4}, {4, 3, 3, 3}, {},
          "conv2d: expected x [batch, height, width, in] and w [out, kernel height, kernel width, in / 1], got [2, 5, 5, 4] and [4, 3, 3, 3]");
  refuses({2, 5, 5, 4}, {3, 3, 3, 2}, {.groups = 2},
          "conv2d: expected x [batch, height, width, in] and w [out, kernel height, kernel width, in / 2], got [2, 5, 5, 4] and [3, 3, 3, 2]");
  refuses({2, 5, 5, 4}, {4, 3, 3, 4}, {.groups = Index{1} << 62},
          "conv2d: expected x [batch, height, width, in] and w [out, kernel height, kernel width, in / 4611686018427387904], got [2, 5, 5, 4] and [4, 3, 3, 4]");
  refuses({1, 8, 1, 1}, {1, 9, 1, 1}, {.dilation = {Index{1} << 61, 1}},
          "conv2d: expected strides, padding and dilations of at most 16777216, got 2305843009213693952 1");
  refuses({1, 8, 1, 1}, {1, 3, 1, 1}, {.padding = {0, Index{1} << 62}},
          "conv2d: expected strides, padding and dilations of at most 16777216, got 0 4611686018427387904");
  refuses({2, 2, 5, 3}, {4, 3, 3, 3}, {}, "conv2d: expected images at least as large as the kernel, got [2, 2, 5, 3] and [4, 3, 3, 3]");
  for (const Shape& w : {Shape{0, 3, 3, 3}, Shape{4, 0, 3, 3}, Shape{4, 3, 3, 0}}) {
    const std::string message = concat("conv2d: expected at least one channel in and out and a kernel, got w ", w);
    refuses({2, 5, 5, w[3]}, w, {}, message.c_str());
  }
  refuses({2, 5, 5, 3}, {4, 3, 3, 3}, {.stride = {0, 1}},
          "conv2d: expected strides, dilations and groups of at least 1 and padding of at least 0, got 0 1, 1 1, 1 and 0 0");
  refuses({2, 5, 5, 3}, {4, 3, 3, 3}, {.padding = {0, -1}},
          "conv2d: expected strides, dilations and groups of at least 1 and padding of at least 0, got 1 1, 1 1, 1 and 0 -1");
  CHECK_THROWS_WITH_AS(conv2d(zeros(tape, {1, 3, 3, 1}), zeros(other, {1, 1, 1, 1})), "conv2d: expected values of one pass, got values of two",
                       std::invalid_argument);
}
