#include "tombola/ops/cross_entropy.hpp"

#include <limits>

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {

template <class Label>
Tensor<Label> some_labels(Index rows, Index classes) {
  Tensor<Label> labels({rows});
  for (Index r = 0; r < rows; ++r) labels[r] = static_cast<Label>((7 * r + 3) % classes);
  return labels;
}

/// By the definition, in long double: -sum_c q_c log softmax_c, the mean over rows.
template <class T, class Label>
double reference(const Tensor<T>& x, const Tensor<Label>& labels, double smoothing) {
  const Index rows = x.shape()[0], columns = x.shape()[1];
  long double total = 0;
  for (Index r = 0; r < rows; ++r) {
    long double top = -INFINITY, sum = 0;
    for (Index c = 0; c < columns; ++c) top = std::max(top, static_cast<long double>(x[r * columns + c]));
    for (Index c = 0; c < columns; ++c) sum += std::exp(static_cast<long double>(x[r * columns + c]) - top);
    for (Index c = 0; c < columns; ++c) {
      const long double q =
          (c == static_cast<Index>(labels[r]) ? 1 - smoothing : 0) + smoothing / static_cast<double>(columns);
      total -= q * (static_cast<long double>(x[r * columns + c]) - top - std::log(sum));
    }
  }
  return static_cast<double>(total / static_cast<long double>(rows));
}

const Shape shapes[] = {{3, 5}, {7, 1}, {1, 1}, {17, 33}, {2, 10}};

}  // namespace

TEST_CASE("cross_entropy: values and gradient by hand") {
  Context context(1);
  Tape<double> tape(context);
  const Tensor<double> x({2, 2}, {0, std::log(3.0), 4, 4});  // softmax 1/4, 3/4 and 1/2, 1/2
  const Tensor<std::uint8_t> labels({2}, {0, 1});
  const Var<double> in = tape.variable(x);
  const Var<double> y = cross_entropy(in, View<const std::uint8_t>(labels));
  CHECK(y.shape() == Shape{});
  CHECK(std::abs(y.item() - (std::log(4.0) + std::log(2.0)) / 2) < 1e-15);
  tape.backward(y);
  const double expected[] = {-0.375, 0.375, 0.25, -0.25};
  for (Index i = 0; i < 4; ++i) CHECK(std::abs(tape.gradient(in)[i] - expected[i]) < 1e-15);
}

TEST_CASE("cross_entropy: smoothing by hand") {
  Context context(1);
  Tape<double> tape(context);
  const Tensor<double> x({1, 2}, {0, std::log(3.0)});
  const Tensor<std::int32_t> labels({1}, {0});  // q = 3/4, 1/4
  const Var<double> in = tape.variable(x);
  const Var<double> y = cross_entropy(in, View<const std::int32_t>(labels), 0.5);
  CHECK(std::abs(y.item() - (0.75 * std::log(4.0) + 0.25 * std::log(4.0 / 3))) < 1e-15);
  tape.backward(y);
  CHECK(std::abs(tape.gradient(in)[0] + 0.5) < 1e-15);
  CHECK(std::abs(tape.gradient(in)[1] - 0.5) < 1e-15);
}

TEST_CASE("cross_entropy: against the definition, labels of both types") {
  Context context(1);
  for (const Shape& shape : shapes) {
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      CAPTURE(shape);
      CAPTURE(smoothing);
      const auto bytes = some_labels<std::uint8_t>(shape[0], shape[1]);
      const auto words = some_labels<std::int32_t>(shape[0], shape[1]);
      const Tensor<double> x = random_tensor<double>(shape, 1, -5, 5);
      const Tensor<float> narrow = converted<float>(x);
      Inference<double> wide_pass(context);
      Inference<float> pass(context);
      const double got = cross_entropy(wide_pass.input(x), View<const std::uint8_t>(bytes), smoothing).item();
      CHECK(std::abs(got - reference(x, bytes, smoothing)) < 1e-13);
      CHECK(cross_entropy(wide_pass.input(x), View<const std::int32_t>(words), smoothing).item() == got);
      const float loss =
          cross_entropy(pass.input(narrow), View<const std::uint8_t>(bytes), static_cast<float>(smoothing)).item();
      // Terms of up to 10 that cancel, in float: a few units in the last place of 10.
      CHECK(std::abs(static_cast<double>(loss) - reference(narrow, bytes, smoothing)) < 5e-6);
    }
  }
}

TEST_CASE("cross_entropy: gradient against differences") {
  Context context(1);
  for (const Shape& shape : shapes) {
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      CAPTURE(shape);
      CAPTURE(smoothing);
      const auto labels = some_labels<std::uint8_t>(shape[0], shape[1]);
      const auto call = [&](auto&, auto in) {
        return cross_entropy(in[0], View<const std::uint8_t>(labels), smoothing);
      };
      CHECK(check_gradient(context, list(random_tensor<double>(shape, 2, -2, 2)), call) < 1e-8);
    }
  }
}

TEST_CASE("cross_entropy: added gradients, no gradient, float, threads") {
  const auto labels = some_labels<std::uint8_t>(17, 33);
  const auto op = [&](auto in) { return cross_entropy(in[0], View<const std::uint8_t>(labels), 0.1f); };
  check_added_gradients<float>(op, list(random_tensor<float>({17, 33}, 3, -4, 4)));
  check_inputs_apart<float>(op, list(random_tensor<float>({17, 33}, 3, -4, 4)));
  const auto twice = [&](auto in) { return op(in) * op(in) + op(in); };
  CHECK(float_error(twice, list(random_tensor<float>({17, 33}, 4, -4, 4))) <= 1e-5);
  const auto many = some_labels<std::uint8_t>(517, 67);  // chunks of 122 rows
  check_threads<float>([&](auto in) { return cross_entropy(in[0], View<const std::uint8_t>(many), 0.1f); },
                       list(random_tensor<float>({517, 67}, 5, -4, 4)));
}

TEST_CASE("cross_entropy: extreme logits give finite losses and gradients") {
  Context context(1);
  const Tensor<float> x({3, 3}, {1e4f, -1e4f, 0, -1e4f, -1e4f, -1e4f, 1e4f, -1e4f, 0});
  const Tensor<std::uint8_t> labels({3}, {0, 2, 1});
  for (const float smoothing : {0.0f, 0.3f}) {
    Tape<float> tape(context);
    const Var<float> in = tape.variable(x);
    const Var<float> y = cross_entropy(in, View<const std::uint8_t>(labels), smoothing);
    CHECK(static_cast<double>(y.item()) ==
          doctest::Approx(reference(x, labels, static_cast<double>(smoothing))).epsilon(1e-6));
    tape.backward(y);
    const Tensor<float> dx = tape.gradient(in);
    CHECK(std::all_of(dx.begin(), dx.end(), [](float g) { return std::isfinite(g) && std::abs(g) <= 1; }));
    CHECK(dx[7] < -0.2f);  // the wrong answer is pushed
  }
}

TEST_CASE("cross_entropy: one logit of 37 far above the others, wherever it stands") {
  Context context(1);
  Tensor<float> x({37, 37});
  Tensor<std::uint8_t> right({37}), wrong({37});
  for (Index r = 0; r < 37; ++r) {
    x[r * 37 + r] = 1e4f;
    right[r] = static_cast<std::uint8_t>(r);
    wrong[r] = static_cast<std::uint8_t>((r + 1) % 37);
  }
  for (const bool is_right : {true, false}) {
    Tape<float> tape(context);
    const Var<float> in = tape.variable(x);
    const Var<float> y = cross_entropy(in, View<const std::uint8_t>(is_right ? right : wrong));
    CHECK(y.item() == (is_right ? 0.0f : 1e4f));
    tape.backward(y);
    const Tensor<float> dx = tape.gradient(in);
    for (Index i = 0; i < dx.size(); ++i) {  // (softmax - onehot) / 37, and the softmax is onehot of the right label
      const float p = i / 37 == i % 37 ? 1.0f : 0.0f, q = i % 37 == (is_right ? right : wrong)[i / 37] ? 1.0f : 0.0f;
      REQUIRE(dx[i] == (p - q) / 37);
    }
  }
}

TEST_CASE("cross_entropy: a common shift of the logits costs no accuracy") {
  Context context(1);
  Inference<float> pass(context);
  Tensor<float> x = converted<float>(random_tensor<double>({5, 10}, 6, -1, 1));
  for (float& v : x) v += 4096.0f;  // rounds the logits themselves to 2^-11; the loss is that of the rounded ones
  const auto labels = some_labels<std::uint8_t>(5, 10);
  for (const float smoothing : {0.0f, 0.1f}) {
    const float loss = cross_entropy(pass.input(x), View<const std::uint8_t>(labels), smoothing).item();
    CHECK(std::abs(static_cast<double>(loss) - reference(x, labels, static_cast<double>(smoothing))) < 5e-6);
  }
}

TEST_CASE("cross_entropy: NaN and infinity give a loss that is not finite") {
  Context context(1);
  Inference<float> pass(context);
  const Tensor<std::uint8_t> labels({2}, {0, 1});
  for (const float bad : {NAN, INFINITY}) {
    for (Index i = 0; i < 4; ++i) {
      Tensor<float> x({2, 2});
      x[i] = bad;
      CHECK_FALSE(std::isfinite(cross_entropy(pass.input(x), View<const std::uint8_t>(labels)).item()));
    }
  }
}

TEST_CASE("cross_entropy: what does not fit is refused") {
  Context context(1);
  Inference<float> pass(context);
  const Tensor<float> x({2, 3}), vector({6}), empty({0, 3}), classless({2, 0});
  const Tensor<std::uint8_t> good({2}, {0, 2}), none({0}), three({3});
  const auto call = [&](const Tensor<float>& in, const Tensor<std::uint8_t>& labels, float smoothing = 0) {
    return cross_entropy(pass.input(in), View<const std::uint8_t>(labels), smoothing);
  };
  CHECK_NOTHROW(call(x, good));
  CHECK_THROWS_WITH_AS(call(x, three),
                       "cross_entropy: expected x [batch, classes] and labels [batch], got [2, 3] and [3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(vector, good),
                       "cross_entropy: expected x [batch, classes] and labels [batch], got [6] and [2]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(empty, none),
                       "cross_entropy: expected x [batch, classes] and labels [batch], got [0, 3] and [0]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(classless, good),
                       "cross_entropy: expected x [batch, classes] and labels [batch], got [2, 0] and [2]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(x, good, -0.5f), "cross_entropy: expected a smoothing in [0, 1], got -0.5",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(x, good, 1.5f), "cross_entropy: expected a smoothing in [0, 1], got 1.5",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(x, good, NAN), "cross_entropy: expected a smoothing in [0, 1], got nan",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(call(x, Tensor<std::uint8_t>({2}, {0, 3})),
                       "cross_entropy: expected labels in [0, 3), got 3 at row 1", std::invalid_argument);
  const Tensor<std::int32_t> negative({2}, {-1, 0});
  CHECK_THROWS_WITH_AS(cross_entropy(pass.input(x), View<const std::int32_t>(negative)),
                       "cross_entropy: expected labels in [0, 3), got -1 at row 0", std::invalid_argument);
}

TEST_CASE("count_correct: the largest element stands at the label; NaN is wrong") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor<float> x({5, 3}, {1, 2, 3, 3, 2, 1, 0, 5, -5, nan, 2, 3, 1, 1, 0});
  const auto count = [&](std::initializer_list<std::int32_t> labels) {
    const Tensor<std::int32_t> all({5}, labels);
    return count_correct(View<const float>(x), View<const std::int32_t>(all));
  };
  CHECK(count({2, 0, 1, 2, 0}) == 4);  // row 3 has a NaN; in row 4 the first of two largest counts
  CHECK(count({2, 0, 1, 0, 1}) == 3);
  CHECK(count({0, 1, 2, 0, 2}) == 0);
  const Tensor<float> wrong({5});
  const Tensor<std::int32_t> labels({5});
  CHECK_THROWS_WITH_AS(count_correct(View<const float>(wrong), View<const std::int32_t>(labels)),
                       "count_correct: expected x [batch, classes] and labels [batch], got [5] and [5]",
                       std::invalid_argument);
  const Tensor<float> two({2, 3});
  CHECK_THROWS_WITH_AS(count_correct(View<const float>(two), View<const std::int32_t>(labels)),
                       "count_correct: expected x [batch, classes] and labels [batch], got [2, 3] and [5]",
                       std::invalid_argument);
  const Tensor<float> classless({5, 0}), none({0, 0});
  CHECK_THROWS_WITH_AS(count_correct(View<const float>(classless), View<const std::int32_t>(labels)),
                       "count_correct: expected x [batch, classes] and labels [batch], got [5, 0] and [5]", std::invalid_argument);
  CHECK(count_correct(View<const float>(none), View<const std::int32_t>(labels.view().slice(0, 0))) == 0);
}
