#include "tombola/ops/layer_norm.hpp"

#include "support/not_finite.hpp"
#include "support/op.hpp"
#include "tombola/nn/layer_norm.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/gelu.hpp"

using namespace tombola;
using namespace test_support;

namespace {

const Shape shapes[] = {{7, 5}, {3, 2, 4, 17}, {5, 33}, {2, 1}, {3, 64}};

template <class T>
std::vector<Tensor<T>> inputs(const Shape& shape) {
  return list(random_tensor<T>(shape, 1), random_tensor<T>({shape.last()}, 2, 0.5, 1.5), random_tensor<T>({shape.last()}, 3));
}

constexpr auto with_weight = [](auto in) { return layer_norm(in[0], in[1], in[2], 0.1); };
constexpr auto without_weight = [](auto in) { return layer_norm(in[0], {}, {}, 0.1); };

}  // namespace

TEST_CASE("layer_norm: by hand") {
  Context context(1);
  Inference<double> pass(context);
  const Var<double> x = pass.input(Tensor<double>({2, 4}, {1, 3, 5, 7, -2, -2, 2, 2}));  // means 4 and 0, variances 5 and 4
  const Var<double> y = layer_norm(x, {}, {}, 0);
  const double expected[] = {-3 / std::sqrt(5.0), -1 / std::sqrt(5.0), 1 / std::sqrt(5.0), 3 / std::sqrt(5.0), -1, -1, 1, 1};
  for (Index i = 0; i < 8; ++i) CHECK(y.value()[i] == doctest::Approx(expected[i]).epsilon(1e-14));
  const Var<double> z = layer_norm(x, pass.input(Tensor<double>({4}, {1, 2, 3, 4})), pass.input(Tensor<double>({4}, {0, 0, 1, 1})), 5);
  for (Index i = 0; i < 4; ++i) {
    CHECK(z.value()[i] == doctest::Approx(static_cast<double>(2 * i - 3) / std::sqrt(10.0) * static_cast<double>(i + 1) + (i < 2 ? 0 : 1)).epsilon(1e-14));
  }
}

TEST_CASE("layer_norm: gradients against differences") {
  Context context(1);
  for (const Shape& shape : shapes) {
    CAPTURE(shape);
    CHECK(check_gradient(context, inputs<double>(shape), [](auto&, auto in) { return with_weight(in); }) < 1e-8);
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 1)), [](auto&, auto in) { return without_weight(in); }) < 1e-8);
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 1)), [](auto&, auto in) { return without_weight(in) * in[0]; }) < 1e-8);
  }
}

TEST_CASE("layer_norm: inputs apart, gradients that add up, threads, float against double") {
  for (const Shape& shape : shapes) {
    CAPTURE(shape);
    check_inputs_apart(with_weight, inputs<float>(shape));
    check_added_gradients(with_weight, inputs<float>(shape));
    CHECK(float_error(with_weight, inputs<float>(shape)) < 1e-5);
  }
  check_threads(with_weight, inputs<float>({5000, 37}));
}

TEST_CASE("layer_norm: its values are computed again for backward") {
  check_restores(with_weight, inputs<float>({5, 33}));
  check_restores(without_weight, list(random_tensor<float>({5, 33}, 1)));
}

TEST_CASE("layer_norm: a weight and a bias that are computed again themselves") {
  for (const bool weight_too : {true, false}) {
    const auto gradients = [weight_too](bool keeps) {
      Context context(1);
      Tape<float> tape(context);
      const auto all = inputs<float>({5, 7});
      const Var<float> x = tape.variable(all[0]), w = tape.variable(all[1]), b = tape.variable(all[2]);
      Var<float> weight = weight_too ? gelu(w) : w, bias = gelu(b), y = layer_norm(x, weight, bias);
      std::vector<Var<float>> kept;
      if (keeps) kept = {weight, bias, y};
      weight = bias = {};
      y = y * y;
      tape.backward(y, random_tensor<float>({5, 7}, 4));
      return list(tape.gradient(x), tape.gradient(w), tape.gradient(b));
    };
    const auto kept = gradients(true), dropped = gradients(false);
    for (std::size_t i = 0; i < kept.size(); ++i) CHECK(same_bits(kept[i], dropped[i]));
  }
}

TEST_CASE("layer_norm: rows far from zero") {
  Context context(1);
  Inference<float> pass(context);
  Tensor<float> x({1, 1000});  // a sum of squares would lose all digits of the variance
  for (Index i = 0; i < 1000; ++i) x[i] = 10000 + static_cast<float>(i % 2);
  const Var<float> y = layer_norm(pass.input(x.view()));
  for (Index i = 0; i < 1000; ++i) CHECK(y.value()[i] == doctest::Approx(i % 2 == 0 ? -1 : 1).epsilon(1e-3));
}

TEST_CASE("nn::LayerNorm") {
  Context context(1);
  const nn::LayerNorm<float> norm("ln", 5);
  const auto x = random_tensor<float>({2, 3, 5}, 1);
  Inference<float> pass(context);
  CHECK(same_bits(norm(pass.input(x.view())).value(), layer_norm(pass.input(x.view())).value()));
  CHECK_THROWS_WITH_AS(norm(pass.input(Tensor<float>({2, 4}))), "ln: expected x [..., 5], got [2, 4]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(nn::LayerNorm<float>("ln", 0), "ln: expected at least one column, got 0", std::invalid_argument);
  Tensor<float> bad({2, 5});
  CHECK(not_finite(norm, bad) == "all is finite");
  bad[5 + 3] = INFINITY;
  CHECK(not_finite(norm, bad) == "ln: expected finite outputs, got nan at row 1, column 0");
}

TEST_CASE("layer_norm: what does not fit") {
  Context context(1);
  Tape<float> tape(context), other(context);
  const auto x = tape.input(Tensor<float>({2, 3})), three = tape.input(Tensor<float>({3})), four = tape.input(Tensor<float>({4}));
  CHECK_THROWS_WITH_AS(layer_norm(tape.input(Tensor<float>({2, 0}))), "layer_norm: expected x [..., columns] with a column, got [2, 0]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(layer_norm(x, {}, {}, -1), "layer_norm: expected a finite epsilon of at least 0, got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(layer_norm(x, {}, {}, NAN), "layer_norm: expected a finite epsilon of at least 0, got nan", std::invalid_argument);
  CHECK_THROWS_WITH_AS(layer_norm(x, three), "layer_norm: expected both weight and bias, or neither", std::invalid_argument);
  CHECK_THROWS_WITH_AS(layer_norm(x, three, four), "layer_norm: expected weight and bias [3], got [3] and [4]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(layer_norm(x, other.input(Tensor<float>({3})), three), "layer_norm: expected values of one pass, got values of two",
                       std::invalid_argument);
}
