/// \file
/// What every elementwise op of one input must do, in one place.
#pragma once

#include <doctest/doctest.h>

#include <limits>

#include "support/tensors.hpp"
#include "tombola/autograd/check_gradient.hpp"
#include "tombola/ops/arithmetic.hpp"

namespace test_support {

using tombola::Context, tombola::Inference, tombola::Tape, tombola::Var;

/// y and dx of one pass from random dy.
template <class T>
struct UnaryResult {
  Tensor<T> y, dx;
};
template <class T, class Op>
UnaryResult<T> run_unary(const Op& op, const Tensor<T>& x, const Tensor<T>& dy, int threads) {
  Context context(threads);
  Tape<T> tape(context);
  const Var<T> in = tape.variable(x);
  const Var<T> y = op(in);
  tape.backward(y, dy);
  return {Tensor<T>::copy_of(y.value()), tape.gradient(in)};
}

/// The numbers from which an op's inputs are drawn, evenly.
struct Domain {
  double low = -4, high = 4;
};

/// Whether `got` is `expected` as a float, which may be infinite or NaN, or no further from it than the tolerance.
inline bool is_near(float got, double expected, double tolerance) {
  const float rounded = static_cast<float>(expected);
  return got == rounded || (std::isnan(got) && std::isnan(rounded)) ||
         std::abs(static_cast<double>(got) - expected) <= tolerance;
}

/// `value` and `slope` are the op's formula and its derivative in double. All sizes are odd, so that every loop has a tail.
/// `smooth`: the derivative has no jump at 0.
template <class Op, class Value, class Slope>
void check_unary(const Op& op, const Value& value, const Slope& slope, bool smooth, Domain domain = {}) {
  const Shape shapes[] = {{3, 5}, {7, 1}, {1, 1}, {17, 33}, {}, {2, 3, 1, 5}};
  // check_gradient moves x by up to 2e-3: ops with a kink at 0 are kept .01 away from it.
  const auto point = [smooth, domain]<class T>(T, const Shape& shape, std::uint32_t seed) {
    return smooth ? random_tensor<T>(shape, seed, domain.low, domain.high)
                  : random_off_zero<T>(shape, seed, domain.low, domain.high);
  };
  Context context(1);

  SUBCASE("values and slopes against the formula") {
    const auto compare = [&]<class T>(T, double tolerance) {
      for (const Shape& shape : shapes) {
        CAPTURE(shape);
        const Tensor<T> x = point(T(), shape, 1), dy = random_tensor<T>(shape, 2);
        Tensor<double> y(shape), dx(shape);
        for (Index i = 0; i < x.size(); ++i) {
          y[i] = value(static_cast<double>(x[i]));
          dx[i] = static_cast<double>(dy[i]) * slope(static_cast<double>(x[i]));
        }
        const UnaryResult<T> got = run_unary(op, x, dy, 1);
        CHECK(largest_error(got.y, y) <= tolerance);
        CHECK(largest_error(got.dx, dx) <= tolerance);
      }
    };
    compare(float(), 1e-6);    // eight units in the last place of 1: vector exp and erf are good to about two
    compare(double(), 2e-14);  // ninety such units, for the same reason and the cancellation in 1 - y^2
  }
  SUBCASE("gradient against differences") {
    for (const Shape& shape : shapes) {
      CAPTURE(shape);
      CHECK(check_gradient(context, list(point(double(), shape, 3)), [&](auto&, auto in) { return op(in[0]); }) < 1e-8);
    }
  }
  SUBCASE("an input used twice, before and after") {
    CHECK(check_gradient(context, list(point(double(), {3, 5}, 4)),
                         [&](auto&, auto in) { return op(in[0]) * in[0] + op(in[0]); }) < 1e-8);
  }
  SUBCASE("the first gradient writes, the second is added") {
    const Tensor<double> x = point(double(), {17, 3}, 5), dy = random_tensor<double>({17, 3}, 6);
    Tape<double> tape(context);
    const Var<double> in = tape.variable(x);
    const Var<double> y = op(in) + op(in);
    tape.backward(y, dy);
    const Tensor<double> once = run_unary(op, x, dy, 1).dx, twice = tape.gradient(in);
    for (Index i = 0; i < x.size(); ++i) CHECK(twice[i] == 2 * once[i]);  // a + a is exact
  }
  SUBCASE("nothing to learn, nothing recorded") {
    const Tensor<float> x = point(float(), {5, 3}, 7);
    Tape<float> tape(context);
    const Var<float> y = op(tape.input(x));
    CHECK_FALSE(y.needs_gradient());
    Inference<float> inference(context);
    CHECK(same_bits(y.value(), op(inference.input(x)).value()));
  }
  SUBCASE("an empty batch") {
    const UnaryResult<float> got = run_unary(op, Tensor<float>({0, 4}), Tensor<float>({0, 4}), 2);
    CHECK(got.y.shape() == Shape{0, 4});
    CHECK(got.dx.shape() == Shape{0, 4});
  }
  SUBCASE("NaN in, NaN out, in every place of a register and in the tail") {
    Tensor<float> x = point(float(), {37}, 8), dy = Tensor<float>::filled({37}, 1.0f);
    for (Index i = 0; i < 37; ++i) {
      const float kept = std::exchange(x[i], std::numeric_limits<float>::quiet_NaN());
      const UnaryResult<float> got = run_unary(op, x, dy, 1);
      x[i] = kept;
      CHECK(std::isnan(got.y[i]));
      for (Index j = 0; j < 37; ++j) {
        if (j != i) REQUIRE(std::isfinite(got.y[j]));
      }
    }
  }
  SUBCASE("large inputs") {
    const Tensor<float> x({4}, {-200.0f, -90.0f, 90.0f, 200.0f});  // exp overflows a float beyond 88.7
    const UnaryResult<float> got = run_unary(op, x, Tensor<float>::filled({4}, 1.0f), 1);
    for (Index i = 0; i < 4; ++i) {
      const double expected = value(static_cast<double>(x[i]));
      CHECK(is_near(got.y[i], expected, 1e-6 * std::max(1.0, std::abs(expected))));
      CHECK(is_near(got.dx[i], slope(static_cast<double>(x[i])), 1e-6));
    }
  }
  SUBCASE("the same bits for any number of threads") {
    const Shape shape{49157};  // four chunks of 16384, the last one short
    const Tensor<float> x = point(float(), shape, 9), dy = random_tensor<float>(shape, 10);
    const UnaryResult<float> one = run_unary(op, x, dy, 1);
    for (const int threads : thread_counts) {
      CAPTURE(threads);
      const UnaryResult<float> many = run_unary(op, x, dy, threads);
      CHECK(same_bits(one.y, many.y));
      CHECK(same_bits(one.dx, many.dx));
    }
  }
}

/// y and dy/dx at one x, in every place of a register and in the tail.
template <class T, class Op>
void check_point(const Op& op, T x, T y, T slope) {
  const UnaryResult<T> got = run_unary(op, Tensor<T>::filled({37}, x), Tensor<T>::filled({37}, T(1)), 1);
  for (Index i = 0; i < 37; ++i) {
    REQUIRE(got.y[i] == y);
    REQUIRE(got.dx[i] == slope);
  }
}

}  // namespace test_support
