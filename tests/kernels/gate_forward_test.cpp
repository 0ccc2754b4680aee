#include "tombola/kernels/gate_forward.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "support/architectures.hpp"
#include "support/arrays.hpp"

using namespace tombola;
using kernels::GaussianGate;
using kernels::HardConcreteGate;
using test::at;

namespace {

constexpr Stream stream{42, Purpose::gate_noise, 3, 5};

/// One gate, drawn in double from the noise that the kernel draws.
struct Drawn {
  double before, z, slope;  ///< before the clamp; dz/dtheta
  double unclamped_slope;   ///< the same where the clamp is not looked at
};
template <class T>
Drawn draw(const GaussianGate<T>&, double theta, double noise, double sigma) {
  const double x = theta + sigma * noise;
  return {x, std::clamp(x, 0.0, 1.0), x > 0 && x < 1 ? 1.0 : 0.0, 1.0};
}
template <class T>
Drawn draw(const HardConcreteGate<T>&, double theta, double noise, double) {
  const double s = 1 / (1 + std::exp(-(noise + theta) * 1.5));
  const double x = s * 1.2 - 0.1;
  const double slope = 1.2 * 1.5 * s * (1 - s);
  return {x, std::clamp(x, 0.0, 1.0), x > 0 && x < 1 ? slope : 0.0, slope};
}

/// What the kernels read and write for `size` gates.
template <class T>
struct Layer {
  std::vector<T> theta, weight, sigmas;
  test::Guarded<T> product, gate, slope;
  std::vector<std::uint64_t> open;
  test::Guarded<double> sums;

  /// theta far enough on both sides for gates that are closed, open, and in between.
  explicit Layer(Index size)
      : theta(test::uniform<T>(size, -2, 2.5, 1)),
        weight(test::uniform<T>(size, -0.3, 0.3, 2)),
        sigmas(test::uniform<T>(size, 0.1, 1, 3)),
        product(size),
        gate(size),
        slope(size),
        open(at((size + 63) / 64), ~0ull),
        sums(kernels::gate_chunks(size)) {}

  kernels::GateInput<T> input(bool weighted, bool own_sigma) const {
    return {static_cast<Index>(theta.size()), theta.data(), weighted ? weight.data() : nullptr, T(0.4),
            own_sigma ? sigmas.data() : nullptr};
  }
  kernels::GateOutput<T> output() { return {product.data(), gate.data(), open.data(), slope.data(), sums.data()}; }
  bool intact() const { return product.intact() && gate.intact() && slope.intact() && sums.intact(); }
  bool is_open(Index i) const { return (open[at(i / 64)] >> (i % 64) & 1) != 0; }
  friend bool operator==(const Layer& a, const Layer& b) {
    return a.product == b.product && a.gate == b.gate && a.slope == b.slope && a.open == b.open && a.sums == b.sums;
  }
};

template <class Kind, template <class> class Gate>
void check_sample(Index size, bool weighted, bool own_sigma) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  CAPTURE(size);
  CAPTURE(weighted);
  CAPTURE(own_sigma);
  const Gate<T> formulas;
  Layer<T> layer(size);
  const auto input = layer.input(weighted, own_sigma);
  kernels::gate_sample<Gate<T>, T, Arch>(1, formulas, stream, input, layer.output());
  CHECK(layer.intact());

  std::vector<float> noise(at(size));
  kernels::fill_noise<typename Gate<T>::Noise, Arch>(stream, 0, size, noise.data());
  // A few roundings of T, of numbers below 4.
  const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
  std::vector<double> sums(at(kernels::gate_chunks(size)));
  Index inside = 0, outside = 0, wrong = 0;
  for (Index i = 0; i < size; ++i) {
    const double sigma = static_cast<double>(own_sigma ? layer.sigmas[at(i)] : T(0.4));
    const Drawn exact = draw(formulas, static_cast<double>(layer.theta[at(i)]), noise[at(i)], sigma);
    const T z = layer.gate[i];
    wrong += !(std::abs(static_cast<double>(z) - exact.z) <= tolerance);
    wrong += layer.product[i] != (weighted ? z * layer.weight[at(i)] : z);
    wrong += layer.is_open(i) != (z > 0 && z < 1);
    // On the edge, T may decide otherwise.
    if (std::min(std::abs(exact.before), std::abs(exact.before - 1)) > tolerance) {
      wrong += layer.is_open(i) != (exact.slope != 0);
      if (!Gate<T>::unit_slope) wrong += !(std::abs(static_cast<double>(layer.slope[i]) - exact.slope) <= 2 * tolerance);
    }
    (exact.slope != 0 ? inside : outside) += 1;
    sums[at(i / kernels::gate_grain)] += static_cast<double>(z);
  }
  CHECK(wrong == 0);
  if (size >= 1000) CHECK((inside > size / 8 && outside > size / 8));  // both kinds were looked at
  if (size % 64 != 0) CHECK((layer.open.back() >> (size % 64)) == 0);
  if (Gate<T>::unit_slope) CHECK(layer.slope == test::Guarded<T>(size));  // not written
  // Sums within a group of 64 are in T: errors of 64 z / 2^24 at most, half of them up, half down.
  for (std::size_t c = 0; c < sums.size(); ++c) {
    CHECK(std::abs(layer.sums[static_cast<Index>(c)] - sums[c]) <=
          (sizeof(T) == 4 ? 1e-7 : 1e-15) * static_cast<double>(size) + 1e-14);
  }
}

/// Gates that reach further write the same values, and let the gradient flow where the reference says, by the slope that it says.
template <class Kind, template <class> class Gate>
void check_reach(double reach) {
  using T = typename Kind::T;
  const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
  for (const Index size : {1, 63, 1000}) {
    Layer<T> near(size), far(size);
    auto input = far.input(true, false);
    kernels::gate_sample<Gate<T>, T, typename Kind::Arch>(1, {}, stream, near.input(true, false), near.output());
    input.reach = T(reach);  // exact in every T
    kernels::gate_sample<Gate<T>, T, typename Kind::Arch>(1, {}, stream, input, far.output());
    CHECK(far.product == near.product);
    CHECK(far.gate == near.gate);
    CHECK(far.sums == near.sums);
    std::vector<float> noise(at(size));
    kernels::fill_noise<typename Gate<T>::Noise, typename Kind::Arch>(stream, 0, size, noise.data());
    Index wrong = 0, more = 0;
    for (Index i = 0; i < size; ++i) {
      const Drawn exact = draw(Gate<T>(), static_cast<double>(far.theta[at(i)]), noise[at(i)], static_cast<double>(T(0.4)));
      if (std::min(std::abs(exact.before + reach), std::abs(exact.before - 1 - reach)) <= tolerance) continue;
      const bool open = exact.before > -reach && exact.before < 1 + reach;
      wrong += far.is_open(i) != open;
      more += far.is_open(i) && !near.is_open(i);
      if (!Gate<T>::unit_slope) wrong += !(std::abs(static_cast<double>(far.slope[i]) - (open ? exact.unclamped_slope : 0)) <= 2 * tolerance);
    }
    CHECK(wrong == 0);
    if (size >= 1000) CHECK(more > size / 50);
    if (size % 64 != 0) CHECK((far.open.back() >> (size % 64)) == 0);
  }
}

/// A sharp clamp around 1/2 changes the values, not where the gradient flows nor by which slope.
template <class Kind, template <class> class Gate>
void check_sharp() {
  using T = typename Kind::T;
  for (const Index size : {1, 63, 1000}) {
    Layer<T> soft(size), sharp(size);
    kernels::gate_sample<Gate<T>, T, typename Kind::Arch>(1, {}, stream, soft.input(true, false), soft.output());
    kernels::gate_sample<Gate<T>, T, typename Kind::Arch>(1, Gate<T>(T(4)), stream, sharp.input(true, false), sharp.output());
    CHECK((sharp.open == soft.open && sharp.slope == soft.slope));
    Index wrong = 0, between = 0;
    double sum = 0;
    for (Index i = 0; i < size; ++i) {
      const double expected = std::clamp((static_cast<double>(soft.gate[i]) - 0.5) * 4 + 0.5, 0.0, 1.0);
      wrong += !(std::abs(static_cast<double>(sharp.gate[i]) - expected) <= (sizeof(T) == 4 ? 1e-6 : 1e-14));
      wrong += sharp.product[i] != sharp.gate[i] * sharp.weight[at(i)];
      between += sharp.gate[i] > 0 && sharp.gate[i] < 1;
      sum += static_cast<double>(sharp.gate[i]);
    }
    CHECK(wrong == 0);
    CHECK(std::abs(sharp.sums[0] - sum) < 1e-3);  // sums of up to 1,000 in T
    if (size >= 1000) CHECK((between > 0 && between < size / 8));
  }
}

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("gate_sample agrees with a reference in double", Kind, sample) {
  for (const Index size : test::sizes_above(kernels::gate_grain)) {
    check_sample<Kind, GaussianGate>(size, true, false);
    check_sample<Kind, HardConcreteGate>(size, true, false);
  }
  for (const Index size : {1, 63, 1000}) {
    check_sample<Kind, GaussianGate>(size, false, false);  // structured gates
    check_sample<Kind, GaussianGate>(size, true, true);
    check_sample<Kind, GaussianGate>(size, false, true);
    check_sample<Kind, HardConcreteGate>(size, false, false);
  }
}
TEST_CASE_TEMPLATE_APPLY(sample, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_sample: the gradient flows as far as gates reach", Kind, reaches) {
  check_reach<Kind, GaussianGate>(0.25);
  check_reach<Kind, HardConcreteGate>(0.0625);  // their draws lie between -.1 and 1.1
}
TEST_CASE_TEMPLATE_APPLY(reaches, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_sample: a sharp clamp around 1/2", Kind, sharp) {
  check_sharp<Kind, GaussianGate>();
  check_sharp<Kind, HardConcreteGate>();
}
TEST_CASE_TEMPLATE_APPLY(sharp, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_sample writes only what is asked for", Kind, sample_parts) {
  using T = typename Kind::T;
  for (const Index size : {64, 100}) {
    Layer<T> all(size);
    const auto input = all.input(true, false);
    const HardConcreteGate<T> formulas;
    kernels::gate_sample<HardConcreteGate<T>, T, typename Kind::Arch>(1, formulas, stream, input, all.output());
    for (int part = 0; part < 5; ++part) {
      Layer<T> one(size), untouched(size);
      kernels::GateOutput<T> out;
      if (part == 0) out.product = one.product.data();
      if (part == 1) out.gate = one.gate.data();
      if (part == 2) out.open = one.open.data();
      if (part == 3) out.slope = one.slope.data();
      if (part == 4) out.chunk_sums = one.sums.data();
      kernels::gate_sample<HardConcreteGate<T>, T, typename Kind::Arch>(1, formulas, stream, input, out);
      CHECK(one.product == (part == 0 ? all : untouched).product);
      CHECK(one.gate == (part == 1 ? all : untouched).gate);
      CHECK(one.open == (part == 2 ? all : untouched).open);
      CHECK(one.slope == (part == 3 ? all : untouched).slope);
      CHECK(one.sums == (part == 4 ? all : untouched).sums);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(sample_parts, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_sample and gate_read give the same bits for any number of threads", Kind, threads) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  const Index size = 3 * kernels::gate_grain + 77;
  Layer<T> first(size), first_read(size);
  for (const int threads : test::thread_counts) {
    CAPTURE(threads);
    Layer<T> layer(size), read(size);
    kernels::gate_sample<HardConcreteGate<T>, T, Arch>(threads, {}, stream, layer.input(true, false), layer.output());
    kernels::gate_read<HardConcreteGate<T>, T, Arch>(threads, {}, Reading::relaxed, read.input(true, false),
                                                     read.output());
    if (threads == 1) {
      first = layer;
      first_read = read;
    }
    CHECK(layer == first);
    CHECK(read == first_read);
  }
}
TEST_CASE_TEMPLATE_APPLY(threads, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_sample depends on the stream", Kind, streams) {
  using T = typename Kind::T;
  const auto product = [](const Stream& from) {
    Layer<T> layer(64);
    kernels::gate_sample<GaussianGate<T>, T, typename Kind::Arch>(1, {}, from, layer.input(true, false),
                                                                  layer.output());
    return layer.product;
  };
  const auto here = product(stream);
  CHECK(product(stream) == here);
  CHECK_FALSE(product({stream.seed + 1, stream.purpose, stream.id, stream.step}) == here);
  CHECK_FALSE(product({stream.seed, stream.purpose, stream.id + 1, stream.step}) == here);
  CHECK_FALSE(product({stream.seed, stream.purpose, stream.id, stream.step + 1}) == here);
}
TEST_CASE_TEMPLATE_APPLY(streams, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gate_read gives each reading", Kind, readings) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  const double zero_at = std::log(0.1 / 1.1);  // where a hard-concrete gate's relaxed value leaves zero
  for (const Index size : test::sizes_above(kernels::gate_grain)) {
    for (const bool gaussian : {true, false}) {
      for (const Reading reading : {Reading::relaxed, Reading::above_zero, Reading::binary}) {
        for (const bool weighted : {true, false}) {
          CAPTURE(size);
          CAPTURE(gaussian);
          CAPTURE(static_cast<int>(reading));
          Layer<T> layer(size);
          if (!gaussian) layer.theta = test::uniform<T>(size, -5, 5, 1);
          const auto input = layer.input(weighted, false);
          if (gaussian) {
            kernels::gate_read<GaussianGate<T>, T, Arch>(1, {}, reading, input, layer.output());
          } else {
            kernels::gate_read<HardConcreteGate<T>, T, Arch>(1, {}, reading, input, layer.output());
          }
          CHECK(layer.intact());
          std::vector<double> sums(at(kernels::gate_chunks(size)));
          Index wrong = 0;
          for (Index i = 0; i < size; ++i) {
            const double theta = static_cast<double>(layer.theta[at(i)]);
            const double relaxed = std::clamp(gaussian ? theta : 1.2 / (1 + std::exp(-theta)) - 0.1, 0.0, 1.0);
            const bool open =
                reading == Reading::binary ? theta > (gaussian ? 0.5 : 0.0) : theta > (gaussian ? 0.0 : zero_at);
            const double z = reading == Reading::relaxed ? relaxed : open;
            wrong += !(std::abs(static_cast<double>(layer.gate[i]) - z) <= (sizeof(T) == 4 ? 4e-7 : 1e-15));
            wrong += layer.product[i] != (weighted ? layer.gate[i] * layer.weight[at(i)] : layer.gate[i]);
            sums[at(i / kernels::gate_grain)] += static_cast<double>(layer.gate[i]);
          }
          CHECK(wrong == 0);
          for (std::size_t c = 0; c < sums.size(); ++c) {  // whole numbers add up exactly
            const double tolerance = reading == Reading::relaxed ? (sizeof(T) == 4 ? 2e-6 : 1e-14) * sums[c] : 0;
            CHECK(std::abs(layer.sums[static_cast<Index>(c)] - sums[c]) <= tolerance);
          }
        }
      }
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(readings, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gates on the edge of a reading are closed", Kind, edges) {
  using T = typename Kind::T;
  // theta, then z as relaxed, above_zero, binary
  constexpr T inf = std::numeric_limits<T>::infinity(), small = T(1e-3);
  const T cases[][4] = {
      {0, 0, 0, 0}, {-small, 0, 0, 0},  {small, small, 1, 0}, {T(0.5), T(0.5), 1, 0}, {T(0.625), T(0.625), 1, 1},
      {1, 1, 1, 1}, {T(1.25), 1, 1, 1}, {inf, 1, 1, 1},       {-inf, 0, 0, 0}};
  std::vector<T> theta;
  for (const auto& row : cases) theta.push_back(row[0]);
  const auto count = static_cast<Index>(theta.size());  // with a tail on every architecture
  const kernels::GateInput<T> input{count, theta.data(), nullptr, T(0.5), nullptr};
  const Reading readings[] = {Reading::relaxed, Reading::above_zero, Reading::binary};
  for (std::size_t reading = 0; reading < std::size(readings); ++reading) {
    std::vector<T> z(theta.size(), 9);
    kernels::gate_read<GaussianGate<T>, T, typename Kind::Arch>(1, {}, readings[reading], input,
                                                                {nullptr, z.data(), nullptr, nullptr, nullptr});
    for (std::size_t i = 0; i < z.size(); ++i) {
      CAPTURE(theta[i]);
      CHECK(z[i] == cases[i][1 + reading]);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(edges, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("a parameter that is NaN shows in what is drawn", Kind, nan_gate) {
  using T = typename Kind::T;
  for (const Index size : {3, 64}) {
    Layer<T> layer(size);
    layer.theta[1] = std::numeric_limits<T>::quiet_NaN();
    kernels::gate_sample<GaussianGate<T>, T, typename Kind::Arch>(1, {}, stream, layer.input(true, false),
                                                                  layer.output());
    CHECK(std::isnan(layer.product[1]));
    CHECK(!std::isnan(layer.product[0]));
    CHECK(!layer.is_open(1));
    kernels::gate_read<GaussianGate<T>, T, typename Kind::Arch>(1, {}, Reading::relaxed, layer.input(true, false),
                                                                layer.output());
    CHECK(std::isnan(layer.product[1]));
  }
}
TEST_CASE_TEMPLATE_APPLY(nan_gate, test::OnEach);
