#include "tombola/kernels/batch_norm.hpp"

#include <doctest/doctest.h>

#include "support/architectures.hpp"
#include "support/arrays.hpp"
#include "support/worst.hpp"

using namespace tombola;
using test::at;

namespace {

/// Every tail of channels; one row; several chunks, the last of them with a tail.
template <class Check>
void for_shapes(const Check& check) {
  for (const Index channels : test::sizes) {
    if (channels > 0) check(Index{3}, channels);
  }
  for (const Index channels : {10, 37}) {
    for (const Index rows : {Index{1}, Index{2}, 2 * kernels::detail::norm_rows(channels) + 13}) check(rows, channels);
  }
}

/// Multiples of 1 / of in [-1, 1): products of two and sums of three are exact in float for small powers of two.
template <class T>
std::vector<T> steps(Index count, int of, std::uint32_t id) {
  auto values = test::uniform<T>(count, -of, of, id);
  for (T& value : values) value = std::floor(value) / static_cast<T>(of);
  return values;
}

/// The arrays of `count` rows of one layer.
template <class T>
struct Layer {
  Index rows, channels;
  std::vector<T> x, dy, residual, scale, shift, mean, inverse;

  Layer(Index rows, Index channels)
      : rows(rows),
        channels(channels),
        x(steps<T>(rows * channels, 16, 1)),
        dy(test::uniform<T>(rows * channels, -1, 1, 2)),
        residual(steps<T>(rows * channels, 8, 3)),
        scale(steps<T>(channels, 8, 4)),
        shift(steps<T>(channels, 8, 5)),
        mean(test::uniform<T>(channels, -0.5, 0.5, 6)),
        inverse(test::uniform<T>(channels, 0.5, 2, 7)) {
    for (T& value : shift) value += T(1) / 1024;  // so that no result is 0, where the ReLU would choose by a rounding
  }
  /// y of one element, exact.
  double result(Index i, bool with_residual) const {
    const auto value = [](const std::vector<T>& all, Index k) { return static_cast<double>(all[at(k)]); };
    const Index c = i % channels;
    return value(x, i) * value(scale, c) + value(shift, c) + (with_residual ? value(residual, i) : 0);
  }
};

template <class T>
constexpr double unit = static_cast<double>(std::numeric_limits<T>::epsilon());

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("batch_norm: moments of columns", Kind, column_moments) {
  using T = typename Kind::T;
  for_shapes([](Index rows, Index channels) {
    CAPTURE(rows);
    CAPTURE(channels);
    for (const double middle : {0.0, 1000.0}) {
      CAPTURE(middle);
      const auto x = test::uniform<T>(rows * channels, middle - 1, middle + 2, 1);
      test::Guarded<T> mean(channels), variance(channels);
      Workspace scratch;
      kernels::column_moments<T, typename Kind::Arch>(2, scratch, rows, channels, x.data(), mean.data(), variance.data());
      CHECK((mean.intact() && variance.intact()));
      double worst_mean = 0, worst_variance = 0;
      for (Index c = 0; c < channels; ++c) {
        long double sum = 0, squares = 0;
        for (Index r = 0; r < rows; ++r) sum += static_cast<long double>(x[at(r * channels + c)]);
        const long double exact = sum / static_cast<long double>(rows);
        for (Index r = 0; r < rows; ++r) squares += std::pow(static_cast<long double>(x[at(r * channels + c)]) - exact, 2.0L);
        test::widen(worst_mean, static_cast<double>(std::abs(static_cast<long double>(mean[c]) - exact)));
        test::widen(worst_variance, static_cast<double>(std::abs(static_cast<long double>(variance[c]) - squares / static_cast<long double>(rows))));
      }
      // The mean is rounded where it lies. Deviations are of the order of one: their sums err by some roundings of each term, that of
      // squares also by the square of the mean's rounding, which is nothing.
      const double sums = 16 * unit<T> * std::sqrt(static_cast<double>(rows));
      CHECK(worst_mean <= middle * unit<T> + sums);
      CHECK(worst_variance <= sums + std::pow(middle * unit<T>, 2));
    }
  });
}
TEST_CASE_TEMPLATE_APPLY(column_moments, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("batch_norm: scale and shift", Kind, scale_and_shift) {
  using T = typename Kind::T;
  for_shapes([](Index rows, Index channels) {
    CAPTURE(rows);
    CAPTURE(channels);
    const Layer<T> a(rows, channels);
    for (const bool residual : {false, true}) {
      for (const bool relu : {false, true}) {
        test::Guarded<T> y(rows * channels);
        kernels::scale_and_shift<T, typename Kind::Arch>(2, rows, channels, a.x.data(), a.scale.data(), a.shift.data(),
                                                         residual ? a.residual.data() : nullptr, relu, y.data());
        CHECK(y.intact());
        Index wrong = 0;
        for (Index i = 0; i < y.size(); ++i) {
          const double exact = a.result(i, residual);
          wrong += static_cast<double>(y[i]) != (relu ? std::max(0.0, exact) : exact);
        }
        CHECK(wrong == 0);
      }
    }
  });
}
TEST_CASE_TEMPLATE_APPLY(scale_and_shift, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("batch_norm: backward", Kind, batch_norm_backward) {
  using T = typename Kind::T;
  for_shapes([](Index rows, Index channels) {
    CAPTURE(rows);
    CAPTURE(channels);
    const Index size = rows * channels;
    const Layer<T> a(rows, channels);
    std::vector<T> y(at(size));
    for (Index i = 0; i < size; ++i) y[at(i)] = static_cast<T>(a.result(i, true));
    for (int bits = 0; bits < 32; ++bits) {
      const bool add = bits & 1, relu = bits & 2, constant = bits & 4, residual = bits & 8, with_dx = bits & 16;
      CAPTURE(bits);
      test::Guarded<T> dx(size, T(0.25)), dresidual(size, T(0.5)), dweight(channels), dbias(channels);
      kernels::BatchNormBackward<T> of{a.x.data(),     a.dy.data(), a.mean.data(), a.inverse.data(), a.scale.data(),
                                       a.shift.data(), relu,        constant,      add};
      if (residual) of.y = y.data(), of.dresidual = dresidual.data(), of.add_residual = add;
      Workspace scratch;
      kernels::batch_norm_backward<T, typename Kind::Arch>(2, scratch, rows, channels, of, with_dx ? dx.data() : nullptr, dweight.data(),
                                                           dbias.data());
      CHECK((dx.intact() && dresidual.intact() && dweight.intact() && dbias.intact()));
      double worst = 0, worst_sum = 0;
      for (Index c = 0; c < channels; ++c) {
        const auto value = [](const std::vector<T>& all, Index k) { return static_cast<double>(all[at(k)]); };
        const auto dz = [&](Index i) { return relu && a.result(i, residual) <= 0 ? 0 : value(a.dy, i); };
        const auto n = [&](Index i) { return (value(a.x, i) - value(a.mean, c)) * value(a.inverse, c); };
        long double sums[2] = {0, 0};
        for (Index i = c; i < size; i += channels) {
          sums[0] += static_cast<long double>(dz(i));
          sums[1] += static_cast<long double>(dz(i) * n(i));
        }
        const auto sum = static_cast<double>(sums[0]), product = static_cast<double>(sums[1]);
        test::widen(worst_sum, std::abs(static_cast<double>(dbias[c]) - sum));
        test::widen(worst_sum, std::abs(static_cast<double>(dweight[c]) - product));
        const double count = static_cast<double>(rows);
        for (Index i = c; i < size; i += channels) {
          const double slope = constant ? dz(i) : dz(i) - (sum + n(i) * product) / count;
          const double exact = with_dx ? value(a.scale, c) * slope + (add ? 0.25 : 0) : 0.25;
          test::widen(worst, std::abs(static_cast<double>(dx[i]) - exact));
          const double through = residual ? dz(i) + (add ? 0.5 : 0) : 0.5;
          test::widen(worst, std::abs(static_cast<double>(dresidual[i]) - through));
        }
      }
      // Terms are below 4, and sums of them wander to the root of the rows: each addition rounds that, and the roundings wander too.
      // dx takes the mean of the rows.
      CHECK(worst < 64 * unit<T>);
      CHECK(worst_sum < unit<T> * static_cast<double>(64 + rows));
    }
  });
}
TEST_CASE_TEMPLATE_APPLY(batch_norm_backward, test::OnEach);

TEST_CASE("batch_norm: NaN passes the ReLU, and reaches its own channel alone") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Index channels : {1, 19}) {
    std::vector<float> x(at(5 * channels), 1), y(x.size());
    const std::vector<float> ones(at(channels), 1);
    x[at(2 * channels)] = nan;
    kernels::scale_and_shift<float>(1, 5, channels, x.data(), ones.data(), ones.data(), nullptr, true, y.data());
    Workspace scratch;
    std::vector<float> mean(at(channels)), variance(at(channels));
    kernels::column_moments<float>(1, scratch, 5, channels, x.data(), mean.data(), variance.data());
    for (Index i = 0; i < 5 * channels; ++i) CHECK(std::isnan(y[at(i)]) == (i == 2 * channels));
    for (Index c = 0; c < channels; ++c) CHECK((std::isnan(mean[at(c)]) == (c == 0) && std::isnan(variance[at(c)]) == (c == 0)));
  }
}
