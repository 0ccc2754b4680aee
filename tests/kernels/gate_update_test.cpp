#include "tombola/kernels/gate_update.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "support/architectures.hpp"
#include "support/arrays.hpp"
#include "support/worst.hpp"

using namespace tombola;
using kernels::GaussianGate;
using kernels::HardConcreteGate;
using test::at;

namespace {

constexpr Stream stream{42, Purpose::gate_noise, 3, 5};
constexpr Penalty penalties[] = {Penalty::none, Penalty::sparse, Penalty::undecided, Penalty::variance,
                                 Penalty::entropy};

double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }
double distribution(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// d/dp of 4 p (1 - p) or of the entropy of p in bits.
double decision_slope(Penalty penalty, double p) {
  return penalty == Penalty::variance ? 4 - 8 * p : std::log2((1 - p) / p);
}

/// d penalty / d theta, from METHOD's formulas and the standard library.
template <class T>
double penalty_slope(const GaussianGate<T>&, Penalty penalty, double mu, double sigma) {
  const double a = -mu / sigma, b = (1 - mu) / sigma, x = (mu - 0.5) / sigma;
  if (penalty == Penalty::none) return 0;
  if (penalty == Penalty::sparse) return density(a) / sigma;
  if (penalty == Penalty::undecided) return (density(a) - density(b)) / sigma;
  return decision_slope(penalty, distribution(x)) * density(x) / sigma;
}
template <class T>
double penalty_slope(const HardConcreteGate<T>&, Penalty penalty, double log_alpha, double) {
  const auto slope = [](double x) { return sigmoid(x) * sigmoid(-x); };
  const double shift = 2.0 / 3 * std::log(0.1 / 1.1);
  if (penalty == Penalty::none) return 0;
  if (penalty == Penalty::sparse) return slope(log_alpha - shift);
  if (penalty == Penalty::undecided) return slope(log_alpha - shift) - slope(log_alpha + shift);
  return decision_slope(penalty, sigmoid(log_alpha)) * slope(log_alpha);
}

/// A layer after a forward and a backward pass.
template <class T>
struct Layer {
  std::vector<T> theta, weight, sigmas, dproduct, slope;
  std::vector<std::uint64_t> open;

  explicit Layer(Index size)
      : theta(test::uniform<T>(size, -1, 1.25, 1)),
        weight(test::uniform<T>(size, -0.3, 0.3, 2)),
        sigmas(test::uniform<T>(size, 0.1, 1, 3)),
        dproduct(test::uniform<T>(size, -1, 1, 4)),
        slope(at(size)),
        open(at((size + 63) / 64)) {}

  bool is_open(Index i) const { return (open[at(i / 64)] >> (i % 64) & 1) != 0; }
  /// Draws the gates, as forward does, and returns what backward knows.
  template <class Gate, class Arch>
  kernels::GateGradient<T> forward(const Gate& gate, bool weighted, bool own_sigma) {
    kernels::GateGradient<T> from;
    from.in = {static_cast<Index>(theta.size()), theta.data(), weighted ? weight.data() : nullptr, T(0.4),
               own_sigma ? sigmas.data() : nullptr};
    kernels::gate_sample<Gate, T, Arch>(1, gate, stream, from.in,
                                        {nullptr, nullptr, open.data(), slope.data(), nullptr});
    from.dproduct = dproduct.data();
    from.open = open.data();
    if (!Gate::unit_slope) from.slope = slope.data();
    return from;
  }
};

template <class Gate, class Arch, class T>
std::vector<T> gradient_of(const Gate& gate, const kernels::GateGradient<T>& from, int threads = 1) {
  test::Guarded<T> gradient(from.in.count);
  kernels::gate_gradient<Gate, T, Arch>(threads, gate, from, gradient.data());
  CHECK(gradient.intact());
  return {gradient.data(), gradient.data() + from.in.count};
}

template <class Kind, template <class> class Gate>
void check_gradient(Index size, bool weighted, bool own_sigma, Penalty penalty) {
  using T = typename Kind::T;
  CAPTURE(size);
  CAPTURE(static_cast<int>(penalty));
  const Gate<T> gate;
  Layer<T> layer(size);
  auto from = layer.template forward<Gate<T>, typename Kind::Arch>(gate, weighted, own_sigma);
  from.dz_all = T(0.05);
  from.penalty = penalty;
  from.lambda = T(0.3);
  const auto gradient = gradient_of<Gate<T>, typename Kind::Arch>(gate, from);
  double worst = 0;
  for (Index i = 0; i < size; ++i) {
    const double dz =
        static_cast<double>(layer.dproduct[at(i)]) * (weighted ? static_cast<double>(layer.weight[at(i)]) : 1) +
        static_cast<double>(T(0.05));
    const double slope = Gate<T>::unit_slope ? (layer.is_open(i) ? 1 : 0) : static_cast<double>(layer.slope[at(i)]);
    const double exact = dz * slope + static_cast<double>(T(0.3)) *
                                          penalty_slope(gate, penalty, static_cast<double>(layer.theta[at(i)]),
                                                        static_cast<double>(own_sigma ? layer.sigmas[at(i)] : T(0.4)));
    test::widen(worst, std::abs(static_cast<double>(gradient[at(i)]) - exact));
  }
  // Slopes of up to .3 x 10, rounded a few times, and a rounded p inside the entropy's logarithm.
  // Measured: 8.5e-7 in float, 2.6e-14 in double.
  CHECK(worst < (sizeof(T) == 4 ? 2e-6 : 1e-13));
}

/// The penalty of one gate, from the kernel.
template <class Gate, class Arch>
double penalty_of(Penalty penalty, double theta, double sigma) {
  const std::vector<double> one{
      theta};  // not on the stack: g++ -O3 would warn of a whole register there, which is never read
  double sum = 0;
  kernels::gate_penalty<Gate, double, Arch>(1, {}, penalty, {1, one.data(), nullptr, sigma, nullptr}, &sum);
  return sum;
}

/// The central difference of f; h balances h^2 f''' / 6 against the 8e-15 / h of the error function in double.
template <class F>
double difference(const F& f, double x, double h = 1e-5) {
  return (f(x + h) - f(x - h)) / (2 * h);
}

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("gate_gradient agrees with a reference in double", Kind, gradient) {
  for (const Index size : test::sizes_above(kernels::gate_grain)) {
    check_gradient<Kind, GaussianGate>(size, true, false, Penalty::sparse);
    check_gradient<Kind, HardConcreteGate>(size, true, false, Penalty::sparse);
  }
  for (const Penalty penalty : penalties) {
    check_gradient<Kind, GaussianGate>(1000, true, true, penalty);
    check_gradient<Kind, GaussianGate>(1000, false, false, penalty);
    check_gradient<Kind, HardConcreteGate>(1000, true, false, penalty);
    check_gradient<Kind, HardConcreteGate>(1000, false, false, penalty);
  }
}
TEST_CASE_TEMPLATE_APPLY(gradient, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_gradient without a backward pass is the penalty's alone", Kind, penalty_alone) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  Layer<T> layer(100);
  auto from = layer.template forward<GaussianGate<T>, Arch>({}, true, false);
  from.penalty = Penalty::sparse;
  from.lambda = T(2);
  auto without = from;
  without.dproduct = nullptr;
  without.open = nullptr;
  without.dz_all = T(9);
  std::fill(layer.dproduct.begin(), layer.dproduct.end(), T(0));
  CHECK((gradient_of<GaussianGate<T>, Arch>({}, without) == gradient_of<GaussianGate<T>, Arch>({}, from)));
  without.penalty = Penalty::none;
  CHECK((gradient_of<GaussianGate<T>, Arch>({}, without) == std::vector<T>(100)));
}
TEST_CASE_TEMPLATE_APPLY(penalty_alone, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("each penalty's slope is its numeric derivative", Kind, numeric) {
  using Arch = typename Kind::Arch;
  using Gaussian = GaussianGate<double>;
  using Hard = HardConcreteGate<double>;
  const auto parts = [](Penalty penalty, const double& theta, double sigma) {
    return kernels::GateGradient<double>{
        {1, &theta, nullptr, sigma, nullptr}, nullptr, nullptr, nullptr, 0, penalty, 1};
  };
  const auto slope = [&](auto gate, Penalty penalty, double theta, double sigma) {
    return gradient_of<decltype(gate), Arch>(gate, parts(penalty, theta, sigma))[0];
  };
  const auto sigma_slope = [&](Penalty penalty, double mu, double sigma) {
    double gradient = 0;
    kernels::gate_sigma_gradient<double, Arch>(1, {}, stream, parts(penalty, mu, sigma), true, &gradient);
    return gradient;
  };
  for (const Penalty penalty : penalties) {
    CAPTURE(static_cast<int>(penalty));
    for (const double theta : {-1.0, -0.3, 0.0, 0.2, 0.5, 0.7, 1.0, 1.25}) {
      for (const double sigma : {0.25, 0.5, 1.0}) {
        CAPTURE(theta);
        CAPTURE(sigma);
        const auto of_mu = [&](double mu) { return penalty_of<Gaussian, Arch>(penalty, mu, sigma); };
        CHECK(std::abs(slope(Gaussian{}, penalty, theta, sigma) - difference(of_mu, theta)) < 2e-8);
        const auto of_sigma = [&](double s) { return penalty_of<Gaussian, Arch>(penalty, theta, s); };
        CHECK(std::abs(sigma_slope(penalty, theta, sigma) - difference(of_sigma, sigma)) < 2e-8);
      }
    }
    for (const double theta : {-5.0, -2.0, -0.5, 0.0, 0.1, 3.0, 5.0}) {
      CAPTURE(theta);
      const auto of_theta = [&](double x) { return penalty_of<Hard, Arch>(penalty, x, 1); };
      CHECK(std::abs(slope(Hard{}, penalty, theta, 1) - difference(of_theta, theta)) < 1e-10);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(numeric, test::DoubleOnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_adam is gate_gradient and adam in one pass", Kind, fused) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  const auto check = [](auto gate, Index size) {
    using Gate = decltype(gate);
    CAPTURE(size);
    Layer<T> layer(size);
    auto from = layer.template forward<Gate, Arch>(gate, true, false);
    from.dz_all = T(0.05);
    from.penalty = Penalty::entropy;
    from.lambda = T(0.3);
    const kernels::AdamStep<T> step{T(0.9), T(0.999), T(1e-8), T(0.05), T(1.5), T(-0.9), T(1.1)};
    test::Guarded<T> theta(layer.theta), m(test::uniform<T>(size, -1, 1, 5)), v(test::uniform<T>(size, 0, 1, 6));
    auto fused_theta = theta, fused_m = m, fused_v = v;
    const auto gradient = gradient_of<Gate, Arch>(gate, from);
    kernels::adam<T, Arch>(1, step, size, gradient.data(), theta.data(), m.data(), v.data());
    from.in.theta = fused_theta.data();
    kernels::gate_adam<Gate, T, Arch>(1, gate, from, step, fused_theta.data(), fused_m.data(), fused_v.data());
    CHECK((fused_theta.intact() && fused_m.intact() && fused_v.intact()));
    Index wrong = 0, moved = 0;
    // The same operations on numbers of order one; a compiler that contracts may round some of them differently.
    const T tolerance = 4 * std::numeric_limits<T>::epsilon();
    for (Index i = 0; i < size; ++i) {
      const bool near = std::abs(fused_theta[i] - theta[i]) <= tolerance && std::abs(fused_m[i] - m[i]) <= tolerance && std::abs(fused_v[i] - v[i]) <= tolerance;
      wrong += !(near && theta[i] >= T(-0.9) && theta[i] <= T(1.1));
      moved += theta[i] != layer.theta[at(i)];
    }
    CHECK(wrong == 0);
    CHECK(moved == size);
  };
  for (const Index size : test::sizes_above(kernels::gate_grain)) {
    check(GaussianGate<T>{}, size);
    check(HardConcreteGate<T>{}, size);
  }
}
TEST_CASE_TEMPLATE_APPLY(fused, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_sigma_gradient is noise times the gradient by z", Kind, sigma_gradient) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  for (const Index size : test::sizes_above(kernels::gate_grain)) {
    for (const bool weighted : {true, false}) {
      for (const bool through_penalty : {true, false}) {
        CAPTURE(size);
        Layer<T> layer(size);
        auto from = layer.template forward<GaussianGate<T>, Arch>({}, weighted, true);
        from.dz_all = T(0.05);
        from.penalty = Penalty::sparse;
        from.lambda = T(0.3);
        test::Guarded<T> gradient(size);
        kernels::gate_sigma_gradient<T, Arch>(1, {}, stream, from, through_penalty, gradient.data());
        CHECK(gradient.intact());
        std::vector<float> noise(at(size));
        kernels::fill_noise<kernels::NormalNoise, Arch>(stream, 0, size, noise.data());
        double worst = 0;
        for (Index i = 0; i < size; ++i) {
          const double sigma = static_cast<double>(layer.sigmas[at(i)]);
          const double a = -static_cast<double>(layer.theta[at(i)]) / sigma;
          const double weight = weighted ? static_cast<double>(layer.weight[at(i)]) : 1;
          const double dz = static_cast<double>(layer.dproduct[at(i)]) * weight + static_cast<double>(T(0.05));
          double exact = layer.is_open(i) ? dz * noise[at(i)] : 0;
          if (through_penalty) exact += static_cast<double>(T(0.3)) * a * density(a) / sigma;
          test::widen(worst, std::abs(static_cast<double>(gradient[i]) - exact));
        }
        CHECK(worst < (sizeof(T) == 4 ? 1e-6 : 2e-15));  // numbers up to 5, rounded a few times
      }
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(sigma_gradient, test::OnEach);

TEST_CASE("gate_sigma_gradient is the numeric derivative of sum c_i w_i z_i by each sigma") {
  const Index size = 1000;
  Layer<double> layer(size);
  const auto from = layer.forward<GaussianGate<double>, simd::Native>({}, true, true);
  std::vector<double> gradient(at(size));
  kernels::gate_sigma_gradient(1, GaussianGate<double>(), stream, from, false, gradient.data());
  const auto draw = [&](double shift) {
    std::vector<double> sigmas(layer.sigmas), product(at(size));
    for (double& sigma : sigmas) sigma += shift;
    auto in = from.in;
    in.sigmas = sigmas.data();
    kernels::gate_sample(1, GaussianGate<double>{}, stream, in, {product.data(), nullptr, nullptr, nullptr, nullptr});
    return product;
  };
  const double h = 1e-7;
  const auto above = draw(h), below = draw(-h);
  Index equal = 0;
  for (Index i = 0; i < size; ++i) {
    const double numeric = layer.dproduct[at(i)] * (above[at(i)] - below[at(i)]) / (2 * h);
    equal += std::abs(gradient[at(i)] - numeric) < 1e-8;
  }
  // z is piecewise linear in sigma: the difference is exact unless a gate reaches its clamp on the way, as 1 in 1e6 does.
  CHECK(equal >= size - 1);
}

TEST_CASE_TEMPLATE_DEFINE("gate_penalty sums over each chunk", Kind, penalty_sums) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  for (const Index size : test::sizes_above(kernels::gate_grain)) {
    for (const bool own_sigma : {true, false}) {
      CAPTURE(size);
      Layer<T> layer(size);
      const auto in = layer.template forward<GaussianGate<T>, Arch>({}, true, own_sigma).in;
      test::Guarded<double> sums(kernels::gate_chunks(size));
      kernels::gate_penalty<GaussianGate<T>, T, Arch>(1, {}, Penalty::undecided, in, sums.data());
      CHECK(sums.intact());
      std::vector<double> exact(at(sums.size()));
      for (Index i = 0; i < size; ++i) {
        const double mu = static_cast<double>(layer.theta[at(i)]);
        const double sigma = static_cast<double>(own_sigma ? layer.sigmas[at(i)] : T(0.4));
        exact[at(i / kernels::gate_grain)] += distribution((1 - mu) / sigma) - distribution(-mu / sigma);
      }
      // A register's sums stay in T over a chunk: errors like a random walk of roundings of sums up to 1000.
      const double relative = sizeof(T) == 4 ? 2e-6 : 5e-14;
      for (Index c = 0; c < sums.size(); ++c) CHECK(std::abs(sums[c] - exact[at(c)]) <= relative * exact[at(c)]);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(penalty_sums, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate kernels give the same bits for any number of threads", Kind, threads) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  using Gate = GaussianGate<T>;
  const Index size = 3 * kernels::gate_grain + 77;
  Layer<T> layer(size);
  auto from = layer.template forward<Gate, Arch>({}, true, true);
  from.penalty = Penalty::variance;
  from.lambda = T(0.3);
  const kernels::AdamStep<T> step{T(0.9), T(0.999), T(1e-8), T(0.05), T(1.5), T(-1), T(1.25)};
  std::vector<std::vector<T>> first;
  std::vector<double> first_sums;
  for (const int threads : test::thread_counts) {
    CAPTURE(threads);
    std::vector<T> sigma(at(size)), theta(layer.theta), m(at(size), T(0.1)), v(at(size), T(0.1));
    std::vector<double> sums(at(kernels::gate_chunks(size)));
    const auto gradient = gradient_of<Gate, Arch>({}, from, threads);
    kernels::gate_sigma_gradient<T, Arch>(threads, {}, stream, from, true, sigma.data());
    kernels::gate_penalty<Gate, T, Arch>(threads, {}, Penalty::sparse, from.in, sums.data());
    auto own = from;
    own.in.theta = theta.data();
    kernels::gate_adam<Gate, T, Arch>(threads, {}, own, step, theta.data(), m.data(), v.data());
    const std::vector<std::vector<T>> all{gradient, sigma, theta, m, v};
    if (threads == 1) {
      first = all;
      first_sums = sums;
    }
    CHECK((all == first));
    CHECK((sums == first_sums));
  }
}
TEST_CASE_TEMPLATE_APPLY(threads, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_counts counts open and fractional gates", Kind, counting) {
  using T = typename Kind::T;
  const double zero_at = std::log(0.1 / 1.1);  // where a hard-concrete gate's relaxed value leaves zero
  for (const Index size : test::sizes_above(kernels::gate_grain)) {
    CAPTURE(size);
    const auto mu = test::uniform<T>(size, -1, 2, 1), log_alpha = test::uniform<T>(size, -5, 5, 1);
    Index open = 0, above_zero = 0, fractional = 0, hard_open = 0, hard_above_zero = 0, hard_fractional = 0;
    for (Index i = 0; i < size; ++i) {
      const double x = static_cast<double>(mu[at(i)]), y = static_cast<double>(log_alpha[at(i)]);
      open += x > 0.5;
      above_zero += x > 0;
      fractional += x > 0 && x < 1;
      hard_open += y > 0;
      hard_above_zero += y > zero_at;
      hard_fractional += std::abs(y) < -zero_at;
    }
    const auto check = [&](auto gate, Reading reading, const std::vector<T>& theta, Index expected_open,
                           Index expected_fractional) {
      for (const int threads : test::thread_counts) {
        const auto got =
            kernels::gate_counts<decltype(gate), T, typename Kind::Arch>(threads, gate, reading, theta.data(), size);
        CHECK(got.open == expected_open);
        CHECK(got.fractional == expected_fractional);
      }
    };
    check(GaussianGate<T>{}, Reading::binary, mu, open, fractional);
    check(GaussianGate<T>{}, Reading::above_zero, mu, above_zero, fractional);
    check(HardConcreteGate<T>{}, Reading::binary, log_alpha, hard_open, hard_fractional);
    check(HardConcreteGate<T>{}, Reading::above_zero, log_alpha, hard_above_zero, hard_fractional);
  }
}
TEST_CASE_TEMPLATE_APPLY(counting, test::OnEach);
