#include "tombola/ops/softmax.hpp"

#include <numeric>

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr auto op = [](auto in) { return softmax(in[0]); };

/// By the definition, in long double.
Tensor<double> reference(const Tensor<double>& x) {
  Tensor<double> y(x.shape());
  const Index columns = x.shape().last();
  for (Index r = 0; r < x.shape().rows(); ++r) {
    long double sum = 0;
    for (Index c = 0; c < columns; ++c) sum += std::exp(static_cast<long double>(x[r * columns + c]));
    for (Index c = 0; c < columns; ++c) {
      y[r * columns + c] = static_cast<double>(std::exp(static_cast<long double>(x[r * columns + c])) / sum);
    }
  }
  return y;
}

const Shape shapes[] = {{3, 5}, {7, 1}, {1, 1}, {17, 33}, {5}, {2, 3, 19}};

}  // namespace

TEST_CASE("softmax: values by hand") {
  Context context(1);
  Inference<double> pass(context);
  const Tensor<double> x({2, 2}, {0, std::log(3.0), 5, 5});
  const Var<double> y = softmax(pass.input(x));
  const double expected[] = {0.25, 0.75, 0.5, 0.5};
  for (Index i = 0; i < 4; ++i) CHECK(std::abs(y.value()[i] - expected[i]) < 1e-15);
}

TEST_CASE("softmax: against the definition") {
  for (const Shape& shape : shapes) {
    CAPTURE(shape);
    const Tensor<double> x = random_tensor<double>(shape, 1, -8, 8);
    CHECK(largest_error(run_op(op, list(x.clone())).y, reference(x)) <= 1e-14);
    const Tensor<float> narrow = converted<float>(x);
    CHECK(largest_error(run_op(op, list(narrow.clone())).y, reference(converted<double>(narrow))) <= 1e-6);
  }
}

TEST_CASE("softmax: gradient against differences") {
  Context context(1);
  for (const Shape& shape : shapes) {
    CAPTURE(shape);
    const auto call = [&](auto&, auto in) { return op(in); };
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 2, -2, 2)), call) < 1e-8);
  }
  const auto twice = [](auto&, auto in) { return softmax(in[0]) * in[0] + softmax(in[0]); };
  CHECK(check_gradient(context, list(random_tensor<double>({3, 5}, 3, -2, 2)), twice) < 1e-8);
}

TEST_CASE("softmax: added gradients, no gradient, float, threads, nothing") {
  check_added_gradients<float>(op, list(random_tensor<float>({17, 33}, 4, -4, 4)));
  check_inputs_apart<float>(op, list(random_tensor<float>({17, 33}, 4, -4, 4)));
  CHECK(float_error(op, list(random_tensor<float>({17, 33}, 5, -4, 4))) <= 1e-6);
  check_threads<float>(op, list(random_tensor<float>({517, 67}, 6, -4, 4)));  // chunks of 122 rows
  CHECK(run_op(op, list(Tensor<float>({0, 3}))).y.shape() == Shape{0, 3});
}

TEST_CASE("softmax: extreme inputs stay finite and sum to one; NaN spreads over its row alone") {
  Context context(1);
  Inference<float> pass(context);
  for (const Index columns : {3, 37}) {
    Tensor<float> x({4, columns});
    for (Index c = 0; c < columns; ++c) {
      x.view().row(0)[c] = c == 1 ? 1e4f : -1e4f;
      x.view().row(1)[c] = -1e4f - static_cast<float>(c);
      x.view().row(2)[c] = 3e38f;
      x.view().row(3)[c] = c == columns - 1 ? NAN : 1.0f;
    }
    const Var<float> y = softmax(pass.input(x));
    for (Index r = 0; r < 3; ++r) {
      const float* row = y.value().row(r);
      CHECK(std::all_of(row, row + columns, [](float p) { return p >= 0 && p <= 1; }));
      CHECK(std::accumulate(row, row + columns, 0.0) == doctest::Approx(1).epsilon(1e-6));
    }
    CHECK(y.value().row(0)[1] == 1);
    for (Index c = 0; c < columns; ++c) CHECK(std::isnan(y.value().row(3)[c]));
  }
}

TEST_CASE("softmax: one logit of 37 far above the others takes everything, wherever it stands, and learns nothing more") {
  for (Index place = 0; place < 37; ++place) {
    CAPTURE(place);
    Tensor<float> x({1, 37}), all({1, 37});
    x[place] = 1e4f;
    all[place] = 1;
    const OpResult<float> got = run_op(op, list(x.clone()));
    CHECK(std::equal(all.begin(), all.end(), got.y.begin()));
    CHECK(std::all_of(got.gradients[0].begin(), got.gradients[0].end(), [](float g) { return g == 0; }));
  }
}

TEST_CASE("softmax: no columns are refused") {
  Context context(1);
  Inference<float> pass(context);
  const Tensor<float> empty({3, 0}), scalar{Shape{}};
  CHECK_THROWS_WITH_AS(softmax(pass.input(empty)), "softmax: expected x [..., columns] with columns, got [3, 0]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(softmax(pass.input(scalar)), "softmax: expected x [..., columns] with columns, got []",
                       std::invalid_argument);
}
