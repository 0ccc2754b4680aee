#include "tombola/kernels/noise.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "support/architectures.hpp"
#include "support/arrays.hpp"

using namespace tombola;
using kernels::LogisticNoise;
using kernels::NormalNoise;

namespace {

constexpr Stream stream{0x0123456789ABCDEF, Purpose::gate_noise, 7, 11};

/// The word that position `place` of a group takes as its own or as the first of its pair: see `noise_group`.
std::uint32_t word_at(const Stream& from, Index group, Index place) {
  return from.block(static_cast<std::uint32_t>(16 * group + place % 16))[static_cast<std::size_t>(place / 16)];
}

/// A word as a number in (0, 1], rounded to float as `uniform` says: first its upper 31 bits, then the sum.
double rounded_uniform(std::uint32_t word) {
  return static_cast<float>(static_cast<double>(static_cast<float>(word >> 1)) * 0x1p-31 + 0x1p-32);
}
/// The same without rounding.
double exact_uniform(std::uint32_t word) { return (word | 1) * 0x1p-32; }

/// The point of the circle that an angle's word stands for.
struct Direction {
  double cosine, sine;
  explicit Direction(std::uint32_t word) {
    const double t = (word & 0x3FFFFFFF) * 0x1p-30 * std::numbers::pi / 2 - std::numbers::pi / 4;
    cosine = word >> 31 ? -std::cos(t) : std::cos(t);
    sine = std::sin(t);
    if (word >> 30 & 1) std::swap(cosine, sine);
  }
};

/// Draws `count` numbers of a stream.
template <class Noise, class Arch>
std::vector<float> draw(const Stream& from, Index count) {
  std::vector<float> noise(static_cast<std::size_t>(count));
  kernels::fill_noise<Noise, Arch>(from, 0, count, noise.data());
  return noise;
}

/// The mean of f(x_i), its place among means of independent draws of which one has the variance given.
template <class F>
test::Sample mean_of(const std::vector<float>& x, double variance, const F& f) {
  double sum = 0;
  for (const float v : x) sum += f(static_cast<double>(v));
  const auto count = static_cast<double>(x.size());
  return {count, sum / count, variance};
}

/// The mean product of draws that lie `lag` apart, for draws of variance 1.
test::Sample correlation(const std::vector<float>& x, const std::vector<float>& y, std::size_t lag) {
  double sum = 0;
  for (std::size_t i = lag; i < x.size(); ++i) sum += static_cast<double>(x[i - lag]) * static_cast<double>(y[i]);
  const auto count = static_cast<double>(x.size() - lag);
  return {count, sum / count, 1};
}

constexpr Index many = 10'000'000;

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("noise: the words are those of the scalar Philox", Kind, words) {
  using Arch = typename Kind::Arch;
  constexpr Index lanes = simd::width<std::uint32_t, Arch>;
  // the last two wrap around the counter's 32 bits, and have carries in every key
  for (const std::uint32_t first : {0u, 16u, 123456784u, 0x80000000u, 0xFFFFFFF0u, 0xFFFFFFFFu}) {
    for (const Stream& from : {stream, Stream{}, Stream{~0ull, Purpose::control, ~0u, ~0u}}) {
      const kernels::detail::PhiloxKeys keys(from.seed);
      auto block = first;
      kernels::detail::PhiloxSteps<Arch> steps(from, keys, first);
      for (std::size_t step = 0; step < steps.count; ++step) steps();
      for (const auto& words : steps.words()) {
        for (std::size_t w = 0; w < 4; ++w) {
          std::uint32_t got[64];
          simd::store(got, words[w]);
          for (Index i = 0; i < lanes; ++i) CHECK(got[i] == from.block(block + static_cast<std::uint32_t>(i))[w]);
        }
        block += static_cast<std::uint32_t>(lanes);
      }
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(words, test::FloatOnEach);

TEST_CASE_TEMPLATE_DEFINE("noise: uniform", Kind, uniform_numbers) {
  using Arch = typename Kind::Arch;
  using Word = simd::Batch<std::uint32_t, Arch>;
  Sequence words(stream);
  std::vector<std::uint32_t> tried{0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF};
  for (int i = 0; i < 1000; ++i) tried.push_back(words.next() >> (i % 32));
  for (const std::uint32_t word : tried) {
    float u[64], v[64];
    simd::store(u, kernels::detail::uniform<Arch>(Word(word)));
    simd::store(v, kernels::detail::uniform<Arch>(Word(~word)));
    CHECK(static_cast<double>(u[0]) == rounded_uniform(word));
    CHECK(test::ulps(u[0], exact_uniform(word)) <= 0.75);      // two roundings
    CHECK(test::ulps(v[0], 1 - exact_uniform(word)) <= 0.75);  // ~word stands for 1 - u
    CHECK((u[0] >= 0x1p-32f && u[0] <= 1));
  }
}
TEST_CASE_TEMPLATE_APPLY(uniform_numbers, test::FloatOnEach);

TEST_CASE_TEMPLATE_DEFINE("noise: log_positive", Kind, logarithm) {
  using Arch = typename Kind::Arch;
  const auto log = [](float x) {
    float y[64];
    simd::store(y, kernels::detail::log_positive<Arch>(simd::Batch<float, Arch>(x)));
    return y[0];
  };
  // Measured: .93 without, .83 with fma.
  const auto exact = [](float x) { return std::log(static_cast<long double>(x)); };
  for (const float x : test::uniform<float>(20'000, 0, 1)) CHECK(test::ulps(log(x), exact(x)) < 1);
  for (int i = -31; i <= 31; ++i) CHECK(test::ulps(log(std::ldexp(1.0f, i)), exact(std::ldexp(1.0f, i))) < 1);
  for (float x = 0.9995f; x < 1.0005f; x = std::nextafter(x, 2.0f)) CHECK(test::ulps(log(x), exact(x)) < 1);
  CHECK(log(1.0f) == 0.0f);
}
TEST_CASE_TEMPLATE_APPLY(logarithm, test::FloatOnEach);

TEST_CASE_TEMPLATE_DEFINE("noise: normals are those of Box and Muller", Kind, box_muller) {
  const Index count = 64 * 4000;
  const auto noise = draw<NormalNoise, typename Kind::Arch>(stream, count);
  for (Index i = 0; i < count; ++i) {
    const Index place = i % 64, pair = place / 32 * 32 + place % 16;
    const std::uint32_t radius_word = word_at(stream, i / 64, pair), angle_word = word_at(stream, i / 64, pair + 16);
    const Direction direction(angle_word);
    const double side = place % 32 < 16 ? direction.cosine : direction.sine;
    const double radius = std::sqrt(-2 * std::log(rounded_uniform(radius_word)));
    const double exact_radius = std::sqrt(-2 * std::log(exact_uniform(radius_word)));
    const double got = noise[static_cast<std::size_t>(i)];
    // Measured: 1.9e-7 of the radius, three roundings of float.
    CHECK(std::abs(got - radius * side) <= 2.5e-7 * radius);
    // Against u without its rounding: u is off by up to 3/4 2^-24, which matters where the radius is small.
    CHECK(std::abs(got - exact_radius * side) <= 2.5e-7 * exact_radius + 0x1p-24 / std::max(exact_radius, 0x1p-12));
  }
}
TEST_CASE_TEMPLATE_APPLY(box_muller, test::FloatOnEach);

TEST_CASE_TEMPLATE_DEFINE("noise: the ends of the normals", Kind, normal_ends) {
  using Arch = typename Kind::Arch;
  using Word = simd::Batch<std::uint32_t, Arch>;
  const auto pair = [](std::uint32_t radius, std::uint32_t angle) {
    float first[64], second[64];
    int calls = 0;
    auto meanwhile = [&calls] { ++calls; };
    kernels::detail::normal_pair<Arch>(Word(radius), Word(angle), first, second, meanwhile);
    CHECK(calls == 5);
    return std::array{first[0], second[0]};
  };
  const double greatest = std::sqrt(64 * std::numbers::ln2);
  for (const std::uint32_t quarter : {0u, 1u, 2u, 3u}) {
    const auto [a, b] = pair(0, quarter << 30 | 1u << 29);  // the greatest radius, in the middle of an arc
    CHECK(std::max(std::abs(a), std::abs(b)) == doctest::Approx(greatest).epsilon(2e-7));
    CHECK(std::min(std::abs(a), std::abs(b)) < 2e-6);
    const auto [c, d] = pair(0xFFFFFFFF, quarter << 30 | 12345);  // u = 1: radius 0
    CHECK((c == 0 && d == 0));
  }
}
TEST_CASE_TEMPLATE_APPLY(normal_ends, test::FloatOnEach);

TEST_CASE_TEMPLATE_DEFINE("noise: logistic numbers are log u - log(1 - u)", Kind, logistic) {
  const Index count = 64 * 4000;
  const auto noise = draw<LogisticNoise, typename Kind::Arch>(stream, count);
  for (Index i = 0; i < count; ++i) {
    const double u = exact_uniform(word_at(stream, i / 64, i % 64));
    const double exact = std::log(u) - std::log1p(-u);
    // u and 1 - u are off by up to 3/4 of a unit each, the logarithms by one unit. Measured: 1.2e-7 and 1.2e-7.
    CHECK(std::abs(noise[static_cast<std::size_t>(i)] - exact) <= 1.6e-7 + 1.6e-7 * std::abs(exact));
  }
}
TEST_CASE_TEMPLATE_APPLY(logistic, test::FloatOnEach);

TEST_CASE_TEMPLATE_DEFINE("noise: fill_noise from any group on, to any length", Kind, fill) {
  using Arch = typename Kind::Arch;
  const auto all = draw<NormalNoise, Arch>(stream, 4096);
  const auto all_logistic = draw<LogisticNoise, Arch>(stream, 4096);
  for (const Index count : test::sizes) {
    for (const Index first : {0, 64, 1024}) {
      test::Guarded<float> part(count), part_logistic(count);
      kernels::fill_noise<NormalNoise, Arch>(stream, first, count, part.data());
      kernels::fill_noise<LogisticNoise, Arch>(stream, first, count, part_logistic.data());
      CHECK(part.intact());
      CHECK(part_logistic.intact());
      for (Index i = 0; i < count; ++i) {
        CHECK(part[i] == all[static_cast<std::size_t>(first + i)]);
        CHECK(part_logistic[i] == all_logistic[static_cast<std::size_t>(first + i)]);
      }
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(fill, test::FloatOnEach);

TEST_CASE_TEMPLATE_DEFINE("noise: moments of the normals", Kind, normal_moments) {
  const auto x = draw<NormalNoise, typename Kind::Arch>(stream, many);
  // E n^2 = 1, E n^4 = 3, E n^6 = 15, E n^8 = 105.
  CHECK(mean_of(x, 1, [](double n) { return n; }).agrees_with(0));
  CHECK(mean_of(x, 3 - 1, [](double n) { return n * n; }).agrees_with(1));
  CHECK(mean_of(x, 15, [](double n) { return n * n * n; }).agrees_with(0));           // skewness
  CHECK(mean_of(x, 105 - 9, [](double n) { return n * n * n * n; }).agrees_with(3));  // kurtosis
  CHECK(mean_of(x, 1, [](double n) { return std::abs(n) <= 6.7 ? 0 : 1; }).mean == 0);
  for (const double sigmas : {2.0, 3.0, 4.0, 5.0}) {
    CAPTURE(sigmas);
    const double beyond = std::erfc(sigmas / std::numbers::sqrt2);
    CHECK(mean_of(x, beyond * (1 - beyond), [&](double n) { return std::abs(n) > sigmas; }).agrees_with(beyond));
    CHECK(mean_of(x, beyond / 2 * (1 - beyond / 2), [&](double n) { return n > sigmas; }).agrees_with(beyond / 2));
  }
}
TEST_CASE_TEMPLATE_APPLY(normal_moments, test::FloatOnEach);

TEST_CASE("noise: moments and tails of 100 million normals") {
  constexpr Index draws = 100'000'000, block = 100'000 / 64 * 64;
  std::vector<float> noise(static_cast<std::size_t>(block));
  double count = 0, power[9] = {}, beyond[7] = {};
  for (Index first = 0; first < draws; first += block) {
    kernels::fill_noise<NormalNoise>(stream, first, block, noise.data());
    double sums[9] = {};  // of a block: small sums first
    for (const float value : noise) {
      const double n = value, n2 = n * n;
      for (const auto& [k, term] : {std::pair{1, n}, {2, n2}, {3, n2 * n}, {4, n2 * n2}, {6, n2 * n2 * n2}, {8, n2 * n2 * n2 * n2}}) {
        sums[k] += term;
      }
      for (int sigmas = 1; sigmas <= 6; ++sigmas) beyond[sigmas] += std::abs(n) > sigmas;
    }
    for (int k = 1; k <= 8; ++k) power[k] += sums[k];
    count += static_cast<double>(block);
  }
  // E n^2k = (2k - 1)!!, and the variance of n^k is E n^2k - (E n^k)^2.
  constexpr double even[] = {1, 1, 3, 15, 105, 945, 10395, 135135, 2027025};
  for (const int k : {1, 2, 3, 4, 6, 8}) {
    CAPTURE(k);
    const double mean = k % 2 == 0 ? even[k / 2] : 0;
    CHECK(test::Sample{count, power[k] / count, even[k] - mean * mean}.agrees_with(mean));
  }
  for (int sigmas = 1; sigmas <= 6; ++sigmas) {  // beyond 6: .2 expected, so at most a few
    CAPTURE(sigmas);
    const double share = std::erfc(sigmas / std::numbers::sqrt2);
    CHECK(test::Sample{count, beyond[sigmas] / count, share * (1 - share)}.agrees_with(share));
  }
}

TEST_CASE_TEMPLATE_DEFINE("noise: moments of the logistic numbers", Kind, logistic_moments) {
  const auto x = draw<LogisticNoise, typename Kind::Arch>(stream, many);
  const double pi2 = std::numbers::pi * std::numbers::pi;
  const double m2 = pi2 / 3, m4 = 7 * std::pow(pi2, 2) / 15, m6 = 31 * std::pow(pi2, 3) / 21,
               m8 = 127 * std::pow(pi2, 4) / 15;
  CHECK(mean_of(x, m2, [](double n) { return n; }).agrees_with(0));
  CHECK(mean_of(x, m4 - m2 * m2, [](double n) { return n * n; }).agrees_with(m2));
  CHECK(mean_of(x, m6, [](double n) { return n * n * n; }).agrees_with(0));
  CHECK(mean_of(x, m8 - m4 * m4, [](double n) { return n * n * n * n; }).agrees_with(m4));
  CHECK(mean_of(x, 1, [](double n) { return std::abs(n) <= 32 * std::numbers::ln2 + 1e-5 ? 0 : 1; }).mean == 0);
  for (const double far : {1.0, 4.0, 8.0, 12.0}) {
    CAPTURE(far);
    const double beyond = 1 / (1 + std::exp(far));
    CHECK(mean_of(x, beyond * (1 - beyond), [&](double n) { return n > far; }).agrees_with(beyond));
    CHECK(mean_of(x, beyond * (1 - beyond), [&](double n) { return n < -far; }).agrees_with(beyond));
  }
}
TEST_CASE_TEMPLATE_APPLY(logistic_moments, test::FloatOnEach);

// The instruction sets' draws differ in the last bits at most, so one of them is enough here.
TEST_CASE("noise: neighbours and streams are not correlated") {
  const Index count = 2'000'000;
  const auto x = draw<NormalNoise, simd::Native>(stream, count);
  // 16 and 48 apart: the two of a pair, and pairs of the same block
  for (const std::size_t lag : {1, 2, 15, 16, 17, 32, 48, 63, 64}) {
    CAPTURE(lag);
    CHECK(correlation(x, x, lag).agrees_with(0));
  }
  // the two of a pair share their radius: their squares must be independent all the same
  const auto squares_of = [](const std::vector<float>& of) {
    std::vector<float> squares(of);
    for (float& v : squares) v = (v * v - 1) / std::numbers::sqrt2_v<float>;
    return squares;
  };
  const auto squares = squares_of(x);
  for (const std::size_t lag : {1, 16, 32, 48, 64}) {
    CAPTURE(lag);
    CHECK(correlation(squares, squares, lag).agrees_with(0));
  }
  Stream others[] = {stream, stream, stream, stream, stream};
  others[0].seed += 1;
  others[1].seed += std::uint64_t{1} << 32;
  others[2].id += 1;
  others[3].step += 1;
  others[4].purpose = Purpose::gate_start;
  for (const Stream& other : others) {
    const auto y = draw<NormalNoise, simd::Native>(other, count);
    CHECK(correlation(x, y, 0).agrees_with(0));
    CHECK(correlation(x, y, 1).agrees_with(0));
    CHECK(correlation(squares, squares_of(y), 0).agrees_with(0));
  }
}

TEST_CASE("noise: the angle does not depend on the radius") {
  const Index count = 2'000'000;
  const auto x = draw<NormalNoise, simd::Native>(stream, count);
  // the share of each octant of the circle, among all points and among the far ones: expected 1/8
  double near[8] = {}, far[8] = {}, all_far = 0;
  for (Index i = 0; i < count; i += i % 16 == 15 ? 17 : 1) {
    const double a = x[static_cast<std::size_t>(i)], b = x[static_cast<std::size_t>(i + 16)];
    const int octant = (a > 0 ? 1 : 0) + (b > 0 ? 2 : 0) + (std::abs(a) > std::abs(b) ? 4 : 0);
    const bool is_far = a * a + b * b > 9;
    (is_far ? far : near)[octant] += 1;
    all_far += is_far;
  }
  for (int octant = 0; octant < 8; ++octant) {
    CHECK(test::Sample{all_far, far[octant] / all_far, 7.0 / 64}.agrees_with(1.0 / 8));
    CHECK(test::Sample{count / 2 - all_far, near[octant] / (count / 2 - all_far), 7.0 / 64}.agrees_with(1.0 / 8));
  }
}
