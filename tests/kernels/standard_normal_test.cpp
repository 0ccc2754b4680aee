#include "tombola/kernels/standard_normal.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/architectures.hpp"
#include "support/worst.hpp"

using namespace tombola;

namespace {

/// phi or Phi of each x.
template <class T, class Arch, class F>
std::vector<T> apply(const std::vector<T>& x, const F& f) {
  std::vector<T> y(x.size());
  for (Index i = 0; i < static_cast<Index>(x.size()); i += simd::width<T, Arch>) {
    const Index count = std::min(simd::width<T, Arch>, static_cast<Index>(x.size()) - i);
    simd::store_up_to(y.data() + i, f(simd::load_up_to<T, Arch>(x.data() + i, count)), count);
  }
  return y;
}

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("standard normal: density and distribution against the C library", Kind, standard_normal) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  constexpr bool single = sizeof(T) == 4;
  std::vector<T> x;
  for (int i = -140000; i <= 140000; ++i) x.push_back(static_cast<T>(i * 1.0001e-4));
  const auto phi = apply<T, Arch>(x, [](const auto& v) { return kernels::normal_density(v); });
  const auto Phi = apply<T, Arch>(x, [](const auto& v) { return kernels::normal_distribution(v); });
  double worst_density = 0, worst = 0, worst_tail = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto at = static_cast<double>(x[i]), half = -at * at / 2;
    const double density = std::exp(half) / std::sqrt(8 * std::atan(1.0)), distribution = std::erfc(-at / std::sqrt(2.0)) / 2;
    test::widen(worst_density, std::abs(static_cast<double>(phi[i]) - density));
    test::widen(worst, std::abs(static_cast<double>(Phi[i]) - distribution));
    if (single && at < 0 && at > -13.1) test::widen(worst_tail, std::abs(static_cast<double>(Phi[i]) / distribution - 1));
  }
  CHECK(worst_density < (single ? 1e-7 : 1e-15));
  CHECK(worst < (single ? 3e-7 : 5e-15));
  CHECK(worst_tail < (test::rounds_fma_once<Arch> ? 1e-6 : 1e-5));  // else what is rounded away of x^2 is lost: 85 half units in the last place
}
TEST_CASE_TEMPLATE_APPLY(standard_normal, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("standard normal: far out, and of no number", Kind, standard_normal_edges) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  constexpr T infinity = std::numeric_limits<T>::infinity(), largest = std::numeric_limits<T>::max();
  const auto Phi = apply<T, Arch>({-infinity, -largest, T(-40), T(0), T(40), largest, infinity, std::numeric_limits<T>::quiet_NaN()},
                                  [](const auto& v) { return kernels::normal_distribution(v); });
  const auto phi = apply<T, Arch>({-infinity, -largest, T(-40), T(40), largest, infinity}, [](const auto& v) { return kernels::normal_density(v); });
  for (const std::size_t i : {0, 1, 2}) CHECK((Phi[i] >= 0 && Phi[i] < T(1e-30)));
  CHECK(std::abs(Phi[3] - T(0.5)) <= std::numeric_limits<T>::epsilon());
  for (const std::size_t i : {4, 5, 6}) CHECK(Phi[i] == 1);
  CHECK(std::isnan(Phi[7]));
  for (const T value : phi) CHECK((value >= 0 && value < T(1e-30)));
}
TEST_CASE_TEMPLATE_APPLY(standard_normal_edges, test::OnEach);
