#include "tombola/ops/prelu.hpp"

#include "support/unary_op.hpp"

using namespace tombola;
using namespace test_support;

TEST_CASE("prelu: an elementwise op with a frozen slope") {
  check_unary([](const auto& x) { return prelu(x, 0.75); }, [](double x) { return x < 0 ? 0.75 * x : x; },
              [](double x) { return x > 0 ? 1 : 0.75; }, false);
}

TEST_CASE("prelu: values by hand; the slope at 0 is a, by default .25") {
  constexpr auto standard = [](const auto& x) { return prelu(x); };
  check_point(standard, 2.0f, 2.0f, 1.0f);
  check_point(standard, -2.0f, -0.5f, 0.25f);
  check_point(standard, 0.0, 0.0, 0.25);
}

TEST_CASE("prelu: the gradient of a learned slope by hand") {
  Context context(1);
  Tape<double> tape(context);
  const Tensor<double> x({2, 2}, {-1, 2, -3, 0}), a({1}, {0.5});
  const Var<double> vx = tape.variable(x), va = tape.variable(a);
  const Var<double> y = prelu(vx, va);
  tape.backward(y, Tensor<double>({2, 2}, {1, 10, 100, 1000}));
  CHECK(same_bits<double>(y.value(), Tensor<double>({2, 2}, {-0.5, 2, -1.5, 0})));
  CHECK(same_bits(tape.gradient(vx), Tensor<double>({2, 2}, {0.5, 10, 50, 500})));
  CHECK(tape.gradient(va)[0] == -1 * 1 - 3 * 100);
}

TEST_CASE("prelu: the gradients of input and learned slope against differences") {
  Context context(1);
  for (const Shape& shape : {Shape{3, 5}, Shape{7, 1}, Shape{1, 1}, Shape{17, 33}}) {
    CAPTURE(shape);
    const auto op = [](auto&, auto in) { return prelu(in[0], in[1]); };
    CHECK(check_gradient(context, list(random_off_zero<double>(shape, 1), Tensor<double>({1}, {0.3})), op) < 1e-8);
  }
  // Twice, so that the slope's gradient is added to one that is there.
  const auto twice = [](auto&, auto in) { return prelu(prelu(in[0], in[1]), in[1]); };
  CHECK(check_gradient(context, list(random_off_zero<double>({3, 5}, 2), Tensor<double>({1}, {0.3})), twice) < 1e-8);
}

TEST_CASE("prelu: an infinite input on the other side leaves the slope's gradient alone, a NaN does not") {
  for (const bool is_nan : {false, true}) {
    Context context(1);
    Tape<double> tape(context);
    const Var<double> a = tape.variable(Tensor<double>({1}, {0.25}));
    const double odd = is_nan ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    tape.backward(prelu(tape.variable(Tensor<double>({3}, {odd, -2, 1})), a), Tensor<double>({3}, {1, 3, 1}));
    if (is_nan) {
      CHECK(std::isnan(tape.gradient(a)[0]));
    } else {
      CHECK(tape.gradient(a)[0] == -6);
    }
  }
}

TEST_CASE("prelu: only one of input and slope needs a gradient") {
  Context context(1);
  const Tensor<double> x = random_off_zero<double>({3, 5}, 3), a({1}, {0.3}), dy = random_tensor<double>({3, 5}, 4);
  Tape<double> both(context), only_x(context), only_a(context);
  const Var<double> x0 = both.variable(x), a0 = both.variable(a), x1 = only_x.variable(x), a2 = only_a.variable(a);
  both.backward(prelu(x0, a0), dy);
  only_x.backward(prelu(x1, only_x.input(a)), dy);
  only_a.backward(prelu(only_a.input(x), a2), dy);
  CHECK(same_bits(both.gradient(x0), only_x.gradient(x1)));
  CHECK(same_bits(both.gradient(a0), only_a.gradient(a2)));
}

TEST_CASE("prelu: the slope's gradient has the same bits for any number of threads") {
  const Tensor<float> x = random_tensor<float>({49157}, 5), dy = random_tensor<float>({49157}, 6), a({1}, {0.3f});
  const auto run = [&](int threads) {
    Context context(threads);
    Tape<float> tape(context);
    const Var<float> va = tape.variable(a);
    tape.backward(prelu(tape.input(x), va), dy);
    return tape.gradient(va)[0];
  };
  double expected = 0;
  for (Index i = 0; i < x.size(); ++i)
    expected += x[i] < 0 ? static_cast<double>(dy[i]) * static_cast<double>(x[i]) : 0;
  const float one = run(1);
  // 49157 terms of at most 1, added in float within chunks of 16384 and 16 lanes: about 1000 roundings of 1e-7 times 10.
  CHECK(std::abs(static_cast<double>(one) - expected) < 1e-3);
  for (const int threads : thread_counts) CHECK(run(threads) == one);
}

TEST_CASE("prelu: a slope of another shape, or of another pass, is refused") {
  Context context(1);
  Tape<float> tape(context), other(context);
  const Tensor<float> x({2, 3}), a({3});
  CHECK_THROWS_WITH_AS(prelu(tape.input(x), tape.input(a)), "prelu: expected a slope [1], got [3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(prelu(tape.input(x), other.input(Tensor<float>({1}))), "prelu: expected values of one pass, got values of two",
                       std::invalid_argument);
}
