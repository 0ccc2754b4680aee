#include "tombola/ops/gate_penalty.hpp"

#include <doctest/doctest.h>

#include "support/gate_gradients.hpp"
#include "tombola/gates/moments.hpp"
#include "tombola/ops/arithmetic.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr Penalty penalties[] = {Penalty::none, Penalty::sparse, Penalty::undecided, Penalty::variance,
                                 Penalty::entropy};
constexpr GateKind kinds[] = {GateKind::gaussian, GateKind::hard_concrete};

template <class T>
GateParameter<T> some_gates(GateKind kind, Index size, SigmaMode mode = SigmaMode::fixed) {
  GateParameter<T> gate = gates::make_gates<T>({.kind = kind, .sigma_mode = mode}, "g", 1, 3, {size});
  gate.theta =
      random_tensor<T>({size}, 61, kind == GateKind::gaussian ? -1 : -5, kind == GateKind::gaussian ? 1.25 : 5);
  if (mode == SigmaMode::gate) gate.learned_sigma.log_sigma = random_tensor<T>({size}, 62, -1.5, -0.5);
  gate.update_sigma();
  return gate;
}

template <class T>
double reference(const GateParameter<T>& gate, Penalty penalty) {
  double sum = 0;
  for (Index i = 0; i < gate.size(); ++i) {
    sum += penalty_of(gate.kind, penalty, static_cast<double>(gate.theta[i]), sigma_of(gate, i));
  }
  return sum * static_cast<double>(gate.cost);
}

}  // namespace

TEST_CASE("gate_penalty: values by hand") {
  Context context(1);
  GateParameter<double> gate = gates::make_gates<double>({}, "g", 1, 3, {4});
  std::fill_n(gate.theta.data(), 4, 0.5);
  GateParameter<double>* const all[] = {&gate};
  const auto value = [&](Penalty penalty) {
    Inference<double> pass(context);
    return gate_penalty(pass, all, penalty, 10).item();
  };
  // At sigma = mu = 1/2: Phi(1) = .841344746, Phi(1) - Phi(-1) = .682689492, p = 1/2.
  CHECK(std::abs(value(Penalty::sparse) - 40 * 0.841344746068543) < 1e-12);
  CHECK(std::abs(value(Penalty::undecided) - 40 * 0.682689492137086) < 1e-12);
  CHECK(std::abs(value(Penalty::variance) - 40) < 1e-12);
  CHECK(std::abs(value(Penalty::entropy) - 40) < 1e-12);
  CHECK(value(Penalty::none) == 0);
}

TEST_CASE("gate_penalty: values against the definition, over several layers with costs") {
  Context context(1);
  for (const GateKind kind : kinds) {
    for (const Penalty penalty : penalties) {
      for (const Index size : {1, 15, 64, 8197}) {
        GateParameter<double> a = some_gates<double>(kind, size), b = some_gates<double>(kind, 7);
        GateParameter<float> narrow = some_gates<float>(kind, size);
        b.cost = 2.5;
        GateParameter<double>* const both[] = {&a, &b};
        GateParameter<float>* const one[] = {&narrow};
        Inference<double> pass(context);
        Inference<float> narrow_pass(context);
        const double expected = reference(a, penalty) + reference(b, penalty);
        CHECK(gate_penalty(pass, both, penalty, 0.25).item() == doctest::Approx(0.25 * expected).epsilon(1e-12));
        // 1024 terms a lane in float.
        CHECK(static_cast<double>(gate_penalty(narrow_pass, one, penalty, 0.25f).item()) ==
              doctest::Approx(0.25 * reference(narrow, penalty)).epsilon(1e-5));
      }
    }
  }
  GateParameter<double> own = some_gates<double>(GateKind::gaussian, 77, SigmaMode::gate);
  GateParameter<double>* const all[] = {&own};
  Inference<double> pass(context);
  CHECK(gate_penalty(pass, all, Penalty::undecided, 1).item() ==
        doctest::Approx(reference(own, Penalty::undecided)).epsilon(1e-12));
}

TEST_CASE("gate_penalty: sparse and undecided are what the moments say") {
  Context context(1);
  for (const double mu : {-1.0, -0.25, 0.5, 0.8, 1.25}) {
    GateParameter<double> gate = gates::make_gates<double>({.sigma = 0.3}, "g", 1, 3, {1});
    gate.theta[0] = mu;
    GateParameter<double>* const all[] = {&gate};
    Inference<double> pass(context);
    const gates::GaussianMoments moments = gates::gaussian_moments(mu, 0.3);
    CHECK(std::abs(gate_penalty(pass, all, Penalty::sparse, 1).item() - (1 - moments.zero)) < 1e-14);
    CHECK(std::abs(gate_penalty(pass, all, Penalty::undecided, 1).item() - moments.slope) < 1e-14);
  }
}

TEST_CASE("gate_penalty: gradients against differences, alone, with costs, in several passes") {
  Context context(1);
  for (const GateKind kind : kinds) {
    for (const Penalty penalty : penalties) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(static_cast<int>(penalty));
      GateParameter<double> a = some_gates<double>(kind, 37), b = some_gates<double>(kind, 7);
      b.cost = 2.5;
      const auto loss = [&](Pass<double>& pass) {
        GateParameter<double>* const both[] = {&a, &b};
        const Var<double> y = gate_penalty(pass, both, penalty, 0.3);
        return y * y + y;  // dy is not 1
      };
      CHECK(theta_difference(context, {&a, &b}, loss, {PassOptions{}}) < 1e-8);
      const auto linear_loss = [&](Pass<double>& pass) {
        GateParameter<double>* const both[] = {&a, &b};
        return gate_penalty(pass, both, penalty, 0.3) * 2.0;
      };
      CHECK(theta_difference(context, {&a, &b}, linear_loss, {PassOptions{}, PassOptions{}, PassOptions{}}) < 1e-8);
    }
  }
  GateParameter<double> own = some_gates<double>(GateKind::gaussian, 37, SigmaMode::gate);
  const auto loss = [&](Pass<double>& pass) {
    GateParameter<double>* const all[] = {&own};
    return gate_penalty(pass, all, Penalty::entropy, 0.3);
  };
  CHECK(theta_difference(context, {&own}, loss, {PassOptions{}}) < 1e-8);
}

TEST_CASE("gate_penalty: gates far from a decision boundary stay finite") {
  Context context(1);
  for (const GateKind kind : kinds) {
    for (const Penalty penalty : penalties) {
      GateParameter<float> gate =
          gates::make_gates<float>({.kind = kind, .bounds = gates::Bounds::none()}, "g", 1, 3, {4});
      gate.theta = Tensor<float>({4}, {-1e4f, -30, 30, 1e4f});
      std::vector<GateParameter<float>*> all{&gate};
      Tape<float> tape(context);
      const Var<float> y = gate_penalty(tape, all, penalty, 1);
      CHECK(std::isfinite(y.item()));
      tape.backward(y);
      const Tensor<float> gradient = gates::gradient(context, gate);
      CHECK(std::all_of(gradient.begin(), gradient.end(), [](float g) { return std::abs(g) < 1e-5f; }));
    }
  }
}

TEST_CASE("gate_penalty: the same bits for any number of threads") {
  for (const GateKind kind : kinds) {
    GateParameter<float> gate = some_gates<float>(kind, 50003);  // seven chunks of 8192
    GateParameter<float>* const all[] = {&gate};
    const auto run = [&](int threads) {
      Context context(threads);
      Tape<float> tape(context);
      const Var<float> y = gate_penalty(tape, all, Penalty::entropy, 0.01f);
      tape.backward(y);
      Tensor<float> both = gates::gradient(context, gate);
      gate.clear_gradient();
      both[0] = y.item();
      return both;
    };
    const Tensor<float> one = run(1);
    for (const int threads : thread_counts) CHECK(same_bits(one, run(threads)));
  }
}

TEST_CASE("gate_penalty: no layers, lambda 0, inference") {
  Context context(1);
  GateParameter<double> gate = some_gates<double>(GateKind::gaussian, 7);
  GateParameter<double>* const all[] = {&gate};
  Tape<double> tape(context), other(context);
  Inference<double> pass(context);
  CHECK(gate_penalty(tape, {}, Penalty::sparse, 1).item() == 0);
  tape.backward(gate_penalty(tape, all, Penalty::sparse, 0));
  CHECK(same_bits(gates::gradient(context, gate), Tensor<double>({7})));
  const Var<double> y = gate_penalty(pass, all, Penalty::sparse, 1);
  CHECK_FALSE(y.needs_gradient());
  CHECK(y.item() == gate_penalty(other, all, Penalty::sparse, 1).item());
}

TEST_CASE("gate_penalty: what cannot be is refused") {
  Context context(1);
  GateParameter<double> gate = gates::make_gates<double>({}, "fc1", 1, 3, {7});
  std::vector<GateParameter<double>*> all{&gate};
  Tape<double> tape(context);
  CHECK_THROWS_WITH_AS(gate_penalty(tape, all, Penalty::sparse, NAN),
                       "gate_penalty: expected a finite lambda, got nan", std::invalid_argument);
  CHECK_THROWS_WITH_AS(gate_penalty(tape, all, Penalty::sparse, INFINITY),
                       "gate_penalty: expected a finite lambda, got inf", std::invalid_argument);
  Tape<double> relaxed(context, {.gates = Reading::relaxed});
  CHECK_THROWS_WITH_AS(gate_penalty(relaxed, all, Penalty::sparse, 1),
                       "gate_penalty: expected a tape that samples gates: read otherwise, they get no gradient", std::invalid_argument);
  // One kind between two steps: the optimiser keeps one weight.
  const Var<double> both = gate_penalty(tape, all, Penalty::sparse, 1) + gate_penalty(tape, all, Penalty::entropy, 1);
  CHECK_THROWS_WITH_AS(tape.backward(both), "gate_penalty: fc1: expected one kind of penalty between two steps",
                       std::logic_error);

  // Of an earlier pass: then the refused one changes nothing, of any layer.
  GateParameter<double> first = gates::make_gates<double>({}, "fc1", 1, 3, {7}), second = gates::make_gates<double>({}, "fc2", 1, 4, {5});
  std::vector<GateParameter<double>*> one{&first}, two{&first, &second};
  Tape<double> earlier(context), later(context);
  earlier.backward(gate_penalty(earlier, one, Penalty::sparse, 2));
  CHECK_THROWS_WITH_AS(later.backward(gate_penalty(later, two, Penalty::variance, 1)), "gate_penalty: fc1: expected one kind of penalty between two steps",
                       std::logic_error);
  CHECK((first.penalty == Penalty::sparse && first.penalty_weight == 2));
  CHECK(second.penalty_weight == 0);
}
