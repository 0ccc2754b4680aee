#include "tombola/kernels/softmax.hpp"

#include <doctest/doctest.h>

#include "support/architectures.hpp"
#include "support/arrays.hpp"
#include "support/worst.hpp"

using namespace tombola;
using test::at;

namespace {

/// softmax of one row in double.
template <class T>
std::vector<double> exact_softmax(const T* x, Index columns) {
  double top = -1e300, sum = 0;
  for (Index c = 0; c < columns; ++c) top = std::max(top, static_cast<double>(x[c]));
  std::vector<double> p(at(columns));
  for (Index c = 0; c < columns; ++c) sum += p[at(c)] = std::exp(static_cast<double>(x[c]) - top);
  for (double& v : p) v /= sum;
  return p;
}

/// Shapes with every tail of columns, and rows above the grain of chunks.
template <class Check>
void for_shapes(const Check& check) {
  for (const Index columns : test::sizes) {
    if (columns > 0) check(Index{3}, columns);
  }
  for (const Index rows : {0, 1, 2, 1700}) check(rows, Index{10});
}

std::vector<std::uint8_t> some_labels(Index rows, Index columns) {
  Sequence words({9, Purpose::control, 0, 0});
  std::vector<std::uint8_t> labels(at(rows));
  for (auto& label : labels)
    label = static_cast<std::uint8_t>(words.below(static_cast<std::uint32_t>(std::min<Index>(columns, 256))));
  return labels;
}

template <class T>
constexpr double one_ulp = static_cast<double>(std::numeric_limits<T>::epsilon());

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("softmax", Kind, softmax) {
  using T = typename Kind::T;
  for_shapes([](Index rows, Index columns) {
    CAPTURE(rows);
    CAPTURE(columns);
    const auto x = test::uniform<T>(rows * columns, -10, 10, 1);
    test::Guarded<T> p(rows * columns), in_place(x);
    kernels::softmax<T, typename Kind::Arch>(1, rows, columns, x.data(), p.data());
    kernels::softmax<T, typename Kind::Arch>(1, rows, columns, in_place.data(), in_place.data());
    CHECK((p.intact() && in_place.intact()));
    CHECK(in_place == p);
    double worst = 0;
    for (Index r = 0; r < rows; ++r) {
      const auto exact = exact_softmax(x.data() + r * columns, columns);
      for (Index c = 0; c < columns; ++c)
        test::widen(worst, std::abs(static_cast<double>(p[r * columns + c]) / exact[at(c)] - 1));
    }
    // x - max, up to 20, is off by up to 8 x 2^-23; then exp, the sum and the quotient by a unit or two each.
    CHECK(worst < 16 * one_ulp<T>);
    for (const int threads : test::thread_counts) {
      test::Guarded<T> again(rows * columns);
      kernels::softmax<T, typename Kind::Arch>(threads, rows, columns, x.data(), again.data());
      CHECK(again == p);
    }
  });
}
TEST_CASE_TEMPLATE_APPLY(softmax, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("softmax of extreme logits", Kind, extreme) {
  using T = typename Kind::T;
  constexpr T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const auto of = [](std::vector<T> x) {
    kernels::softmax<T, typename Kind::Arch>(1, 1, static_cast<Index>(x.size()), x.data(), x.data());
    return x;
  };
  CHECK((of({T(1e30), T(1e30)}) == std::vector<T>{T(0.5), T(0.5)}));  // no overflow
  CHECK((of({T(-1e30), T(-1e30)}) == std::vector<T>{T(0.5), T(0.5)}));
  CHECK((of({T(0), T(-1e30), -inf}) == std::vector<T>{1, 0, 0}));
  for (std::size_t place = 0; place < 20; ++place) {  // one NaN spoils the row, wherever it stands
    std::vector<T> x(20, T(1));
    x[place] = nan;
    for (const T p : of(x)) CHECK(std::isnan(p));
    x[place] = inf;
    CHECK(std::isnan(of(x)[place]));
  }
  for (std::size_t place = 0; place < 37; ++place) {  // one logit far above the others takes everything, wherever it stands
    std::vector<T> x(37), all(37);
    x[place] = T(1e4);
    all[place] = T(1);
    CHECK(of(x) == all);
  }
}
TEST_CASE_TEMPLATE_APPLY(extreme, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("softmax_backward", T, backward) {
  for_shapes([](Index rows, Index columns) {
    const auto x = test::uniform<T>(rows * columns, -3, 3, 1), dp = test::uniform<T>(rows * columns, -1, 1, 2);
    test::Guarded<T> p(rows * columns), dx(rows * columns, std::numeric_limits<T>::quiet_NaN()),
        added(rows * columns, T(0.5));
    kernels::softmax(1, rows, columns, x.data(), p.data());
    kernels::softmax_backward(1, rows, columns, p.data(), dp.data(), T(0), dx.data());
    kernels::softmax_backward(1, rows, columns, p.data(), dp.data(), T(1), added.data());
    CHECK((dx.intact() && added.intact()));
    double worst = 0;
    for (Index r = 0; r < rows; ++r) {
      const auto exact = exact_softmax(x.data() + r * columns, columns);
      double dot = 0;
      for (Index c = 0; c < columns; ++c) dot += exact[at(c)] * static_cast<double>(dp[at(r * columns + c)]);
      for (Index c = 0; c < columns; ++c) {
        const Index i = r * columns + c;
        const double expected = exact[at(c)] * (static_cast<double>(dp[at(i)]) - dot);
        test::widen(worst, std::abs(static_cast<double>(dx[i]) - expected));
        test::widen(worst, std::abs(static_cast<double>(added[i]) - 0.5 - expected));
      }
    }
    CHECK(worst < 8 * one_ulp<T>);  // numbers up to 2, a few roundings
    for (const int threads : test::thread_counts) {
      test::Guarded<T> again(rows * columns);
      kernels::softmax_backward(threads, rows, columns, p.data(), dp.data(), T(0), again.data());
      CHECK(again == dx);
    }
  });
}
TEST_CASE_TEMPLATE_INVOKE(backward, float, double);

TEST_CASE_TEMPLATE_DEFINE("cross_entropy and its gradient", Kind, entropy) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  for (const double smoothing : {0.0, 0.1, 1.0}) {
    for_shapes([&](Index rows, Index columns) {
      CAPTURE(rows);
      CAPTURE(columns);
      CAPTURE(smoothing);
      const auto x = test::uniform<T>(rows * columns, -10, 10, 1);
      const auto labels = some_labels(rows, columns);
      test::Guarded<T> losses(rows), p(rows * columns), softmax(rows * columns);
      kernels::cross_entropy<T, Arch>(1, rows, columns, x.data(), labels.data(), T(smoothing), losses.data(), p.data());
      kernels::softmax<T, Arch>(1, rows, columns, x.data(), softmax.data());
      CHECK((losses.intact() && p.intact()));
      CHECK(p == softmax);
      test::Guarded<T> dx(rows * columns, std::numeric_limits<T>::quiet_NaN()), added(rows * columns, T(0.5));
      kernels::cross_entropy_backward(1, rows, columns, p.data(), labels.data(), T(smoothing), T(0.25), T(0),
                                      dx.data());
      kernels::cross_entropy_backward(1, rows, columns, p.data(), labels.data(), T(smoothing), T(0.25), T(1),
                                      added.data());
      CHECK((dx.intact() && added.intact()));
      double worst = 0, worst_dx = 0;
      for (Index r = 0; r < rows; ++r) {
        const auto exact = exact_softmax(x.data() + r * columns, columns);
        double loss = 0;
        for (Index c = 0; c < columns; ++c) {
          const Index i = r * columns + c;
          const double q = smoothing / static_cast<double>(columns) + (c == labels[at(r)] ? 1 - smoothing : 0);
          loss -= q * std::log(exact[at(c)]);
          const double expected = 0.25 * (exact[at(c)] - q);
          test::widen(worst_dx, std::abs(static_cast<double>(dx[i]) - expected));
          test::widen(worst_dx, std::abs(static_cast<double>(added[i]) - 0.5 - expected));
        }
        test::widen(worst, std::abs(static_cast<double>(losses[r]) - loss));
      }
      // Losses up to 25, of which half a unit is 8 x 2^-23, rounded three times, and again in the reference.
      // With smoothing, numbers up to 20 are added one after the other.
      CHECK(worst < (smoothing == 0 ? 48 : 48 + 2 * static_cast<double>(columns)) * one_ulp<T>);
      CHECK(worst_dx < 4 * one_ulp<T>);
      for (const int threads : test::thread_counts) {
        test::Guarded<T> losses_again(rows), p_again(rows * columns), dx_again(rows * columns);
        kernels::cross_entropy<T, Arch>(threads, rows, columns, x.data(), labels.data(), T(smoothing),
                                        losses_again.data(), p_again.data());
        kernels::cross_entropy_backward(threads, rows, columns, p.data(), labels.data(), T(smoothing), T(0.25), T(0),
                                        dx_again.data());
        CHECK((losses_again == losses && p_again == p && dx_again == dx));
      }
    });
  }
}
TEST_CASE_TEMPLATE_APPLY(entropy, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("cross_entropy of extreme logits", Kind, extreme_entropy) {
  using T = typename Kind::T;
  constexpr T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const auto loss = [](const std::vector<T>& x, int label, T smoothing) {
    std::vector<T> p(x.size());
    T loss;
    kernels::cross_entropy<T, typename Kind::Arch>(1, 1, static_cast<Index>(x.size()), x.data(), &label, smoothing,
                                                   &loss, p.data());
    return loss;
  };
  // what the logits have in common costs no accuracy: 1024 and 1025 are exact
  const T exact = static_cast<T>(std::log1p(std::exp(-1.0)));
  CHECK(loss({T(1024), T(1025)}, 1, T(0)) == doctest::Approx(exact).epsilon(4 * one_ulp<T>));
  CHECK(loss({T(1024), T(1025)}, 0, T(0)) == doctest::Approx(1 + exact).epsilon(4 * one_ulp<T>));
  CHECK(loss({T(0), T(1e4)}, 0, T(0)) == T(1e4));  // where p underflows to zero
  CHECK(loss({T(0), -inf}, 0, T(0)) == T(0));
  CHECK(loss({T(0), -inf}, 1, T(0)) == inf);
  CHECK(loss({T(0), -inf}, 0, T(0.1)) == inf);
  CHECK(std::isnan(loss({T(0), nan}, 0, T(0))));
  CHECK(std::isnan(loss({nan, T(0)}, 1, T(0))));
  for (int place = 0; place < 37; ++place) {
    std::vector<T> x(37);
    x[at(place)] = T(1e4);
    CHECK(loss(x, place, T(0)) == T(0));
    CHECK(loss(x, (place + 1) % 37, T(0)) == T(1e4));
    const auto smoothed = static_cast<double>(loss(x, place, T(0.1)));
    CHECK(smoothed == doctest::Approx(0.1 * 1e4 * 36 / 37).epsilon(1e-6));  // the other 36 lie 10^4 below
  }
}
TEST_CASE_TEMPLATE_APPLY(extreme_entropy, test::OnEach);
