#include "tombola/ops/batch_norm.hpp"

#include "support/op.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/scale.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// batch_norm over moments of its own, so that every call begins alike.
template <class T>
auto normalise(const BatchNormOptions& options, bool affine) {
  return [=](auto in) {
    static thread_local std::vector<std::unique_ptr<RunningMoments<T>>> kept;  // they outlive the passes
    kept.push_back(std::make_unique<RunningMoments<T>>("bn", in[0].shape().last()));
    return affine ? batch_norm(in[0], *kept.back(), options, in[1], in[2]) : batch_norm(in[0], *kept.back(), options);
  };
}

const Shape shapes[] = {{7, 5}, {3, 2, 4, 17}, {40, 33}, {2, 1}};

/// x, and weight and bias if `affine`. Results stay away from zero, where the ReLU has a kink: the rows of x are above and below the
/// mean in turn, weights are near one and biases near zero.
template <class T>
std::vector<Tensor<T>> inputs(const Shape& shape, bool affine) {
  std::vector<Tensor<T>> all;
  all.push_back(random_tensor<T>(shape, 1));
  for (Index i = 0; i < shape.size(); ++i) all[0][i] = all[0][i] / 4 + (i / shape.last() % 2 == 0 ? T(1) : T(-1));
  if (affine) {
    all.push_back(random_tensor<T>({shape.last()}, 2));
    all.push_back(random_tensor<T>({shape.last()}, 3));
    for (T& weight : all[1]) weight = T(1) + weight / 4;
    for (T& bias : all[2]) bias /= 8;
  }
  return all;
}

}  // namespace

TEST_CASE("batch_norm: by hand") {
  Context context(1);
  RunningMoments<float> running("bn", 2);
  const Tensor<float> x({4, 2}, {1, 10, 3, 10, 5, 30, 7, 30});
  const auto close = [](View<const float> got, std::initializer_list<double> expected) {
    auto e = expected.begin();
    for (Index i = 0; i < got.size(); ++i) CHECK(static_cast<double>(got[i]) == doctest::Approx(*e++).epsilon(1e-6));
  };
  {
    Tape<float> tape(context);
    const Var<float> y = batch_norm(tape.input(x), running, {.epsilon = 0});  // means 4 and 20, variances 5 and 100
    close(y.value(), {-3 / std::sqrt(5.0), -1, -1 / std::sqrt(5.0), -1, 1 / std::sqrt(5.0), 1, 3 / std::sqrt(5.0), 1});
    close(running.mean, {0.4, 2});
    close(running.variance, {0.9 + 0.1 * 20 / 3, 0.9 + 0.1 * 400 / 3});
  }
  {
    Inference<float> pass(context);
    const Var<float> y = batch_norm(pass.input(Tensor<float>({1, 2}, {0.4f, 2})), running, {.epsilon = 0});
    close(y.value(), {0, 0});
    close(running.mean, {0.4, 2});  // unchanged
  }
  {
    Inference<float> pass(context, {.normalisation = Normalisation::collect});
    batch_norm(pass.input(x.view()), running);
    close(running.mean, {4, 20});
    batch_norm(pass.input(Tensor<float>({1, 2}, {0, 0})), running);
    close(running.mean, {3.2, 16});  // the average of two batches, of four rows and one
    close(running.variance, {4.0 / 5 * 20 / 3, 4.0 / 5 * 400 / 3});
    CHECK(running.rows == 5);
  }
}

TEST_CASE("batch_norm: relu") {
  Context context(1);
  RunningMoments<float> running("bn", 1);
  Tape<float> tape(context);
  const Tensor<float> x({4, 1}, {-3, -1, 1, 3});
  const Var<float> v = tape.variable(x);
  const Var<float> y = batch_norm(v, running, {.relu = true});
  CHECK((y.value()[0] == 0 && y.value()[1] == 0 && y.value()[2] > 0 && y.value()[3] > y.value()[2]));
}

TEST_CASE("batch_norm: gradients against differences") {
  Context context(1);
  for (const Shape& shape : shapes) {
    for (const bool affine : {false, true}) {
      for (const bool relu : {false, true}) {
        CAPTURE(shape);
        CAPTURE(affine);
        CAPTURE(relu);
        const auto f = normalise<double>({.epsilon = 0.1, .relu = relu}, affine);  // a large epsilon: few rows may be alike
        CHECK(check_gradient(context, inputs<double>(shape, affine), [&](auto&, auto in) { return f(in); }) < 1e-8);
      }
    }
  }
  const auto f = normalise<double>({.epsilon = 0.1}, false);
  const auto twice = [&](auto&, auto in) { return f(in) * in[0]; };
  CHECK(check_gradient(context, inputs<double>({7, 5}, false), twice) < 1e-8);
}

TEST_CASE("batch_norm: a residual is added before the ReLU") {
  Context context(1);
  // The residual keeps results away from zero as well: it is small against the rows' distance from their mean.
  const auto both = [](auto in) {
    static thread_local std::vector<std::unique_ptr<RunningMoments<double>>> kept;
    kept.push_back(std::make_unique<RunningMoments<double>>("bn", in[0].shape().last()));
    return batch_norm(in[0], *kept.back(), {.epsilon = 0.1, .relu = true}, {}, {}, in[1]);
  };
  for (const Shape& shape : shapes) {
    CAPTURE(shape);
    const auto make = [&] {
      auto made = inputs<double>(shape, false);
      made.push_back(random_tensor<double>(shape, 5));
      for (double& value : made[1]) value /= 16;
      return made;
    };
    const auto all = make();
    CHECK(check_gradient(context, make(), [&](auto&, auto in) { return both(in); }) < 1e-8);
    check_inputs_apart(both, all);
    check_added_gradients(both, all);
    RunningMoments<double> running("bn", shape.last());
    Tape<double> tape(context);
    const Var<double> plain = batch_norm(tape.input(all[0].view()), running, {.epsilon = 0.1});
    const Tensor<double> fused = run_op(both, all).y;
    for (Index i = 0; i < fused.size(); ++i) CHECK(fused[i] == doctest::Approx(std::max(0.0, plain.value()[i] + all[1][i])).epsilon(1e-12));
  }
  RunningMoments<double> running("bn", 3);
  Tape<double> tape(context);
  CHECK_THROWS_WITH_AS(batch_norm(tape.input(Tensor<double>({2, 3})), running, {}, {}, {}, tape.input(Tensor<double>({3, 3}))),
                       "bn: expected a residual [2, 3], got [3, 3]", std::invalid_argument);
}

TEST_CASE("batch_norm: running moments are constants of the gradient") {
  Context context(1);
  RunningMoments<double> running("bn", 3);
  for (Index c = 0; c < 3; ++c) running.variance[c] = 0.5 + static_cast<double>(c);
  Tape<double> tape(context, {.normalisation = Normalisation::running});
  const auto x = random_tensor<double>({4, 3}, 1), dy = random_tensor<double>({4, 3}, 2);
  const Var<double> v = tape.variable(x);
  tape.backward(batch_norm(v, running), dy);
  for (Index i = 0; i < 12; ++i) {
    CHECK(tape.gradient(v)[i] == doctest::Approx(dy[i] / std::sqrt(running.variance[i % 3] + 1e-5)).epsilon(1e-12));
  }
}

TEST_CASE("batch_norm: with running moments a row that is not finite spoils no other row's gradient") {
  Context context(1);
  RunningMoments<double> running("bn", 3);
  Tape<double> tape(context, {.normalisation = Normalisation::running});
  Tensor<double> x = random_tensor<double>({4, 3}, 1);
  x[2 * 3 + 1] = -std::numeric_limits<double>::infinity();  // closed by the ReLU
  const Var<double> v = tape.variable(x);
  const Var<double> y = batch_norm(v, running, {.relu = true});
  tape.backward(y, Tensor<double>::filled({4, 3}, 1));
  for (Index i = 0; i < 12; ++i) CHECK(tape.gradient(v)[i] == doctest::Approx(x[i] > 0 ? 1 / std::sqrt(1 + 1e-5) : 0).epsilon(1e-12));
}

TEST_CASE("batch_norm: inputs apart, gradients that add up, threads, float against double") {
  for (const Shape& shape : shapes) {
    CAPTURE(shape);
    const auto f = normalise<float>({.epsilon = 0.1, .relu = true}, true);
    check_inputs_apart(f, inputs<float>(shape, true));
    check_added_gradients(f, inputs<float>(shape, true));
  }
  check_threads(normalise<float>({}, true), inputs<float>({5000, 37}, true));
}

TEST_CASE("batch_norm: the moments of numbers far from zero") {
  // A sum of squares would lose all digits of the variance.
  Context context(2);
  RunningMoments<float> running("bn", 1);
  auto x = Tensor<float>::uninitialized({100000, 1});
  for (Index i = 0; i < x.size(); ++i) x[i] = 10000 + static_cast<float>(i % 3 - 1);
  Inference<float> pass(context, {.normalisation = Normalisation::collect});
  batch_norm(pass.input(x.view()), running);
  CHECK(running.mean[0] == doctest::Approx(10000).epsilon(1e-6));
  CHECK(running.variance[0] == doctest::Approx(2.0 / 3).epsilon(1e-3));
}

TEST_CASE("batch_norm: what does not fit") {
  Context context(1);
  Tape<float> tape(context);
  RunningMoments<float> running("layer1.bn", 3);
  const auto zeros = [&](const Shape& shape) { return tape.input(Tensor<float>(shape)); };
  CHECK_THROWS_WITH_AS(batch_norm(zeros({2, 4}), running), "layer1.bn: expected x [..., 3] with at least one row, got [2, 4]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(batch_norm(zeros({0, 3}), running), "layer1.bn: expected x [..., 3] with at least one row, got [0, 3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(batch_norm(zeros({2, 3}), running, {}, zeros({3})), "layer1.bn: expected both weight and bias, or neither",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(batch_norm(zeros({2, 3}), running, {}, zeros({3}), zeros({2})),
                       "layer1.bn: expected weight and bias [3], got [3] and [2]", std::invalid_argument);
  const auto refuses = [&](const BatchNormOptions& options, const std::string& got) {
    CHECK_THROWS_WITH_AS(batch_norm(zeros({2, 3}), running, options),
                         ("layer1.bn: expected a finite epsilon of at least 0 and a momentum in [0, 1], got " + got).c_str(), std::invalid_argument);
  };
  refuses({.epsilon = -1e-5}, "-1e-05 and 0.1");
  refuses({.epsilon = INFINITY}, "inf and 0.1");
  refuses({.epsilon = NAN}, "nan and 0.1");
  refuses({.momentum = 2}, "1e-05 and 2");
  refuses({.momentum = -0.5}, "1e-05 and -0.5");
  refuses({.momentum = NAN}, "1e-05 and nan");
  for (Index c = 0; c < 3; ++c) CHECK((running.mean[c] == 0 && running.variance[c] == 1));
}

TEST_CASE("batch_norm: the same bits whether its output is kept for backward or computed again") {
  const auto x = random_tensor<float>({6, 5}, 1), w = random_tensor<float>({5}, 2);
  const auto gradients = [&](bool keep) {
    Context context(1);
    Tape<float> tape(context);
    RunningMoments<float> first("bn1", 5), second("bn2", 5);
    const Var<float> a = tape.variable(x.view()), b = tape.variable(w.view());
    std::vector<Var<float>> kept;
    // The second one reads the output of the first: that one alone is computed again.
    Var<float> h = batch_norm(a, first, {.relu = true});
    if (keep) kept.push_back(h);
    h = batch_norm(h, second);
    if (keep) kept.push_back(h);
    h = scale(h, b);
    tape.backward(sum(h * h));
    return std::pair{tape.gradient(a), tape.gradient(b)};
  };
  const auto kept = gradients(true), restored = gradients(false);
  CHECK(same_bits(kept.first, restored.first));
  CHECK(same_bits(kept.second, restored.second));
}
