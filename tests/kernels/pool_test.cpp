#include "tombola/kernels/pool.hpp"

#include <doctest/doctest.h>

#include <string>

#include "support/architectures.hpp"
#include "support/arrays.hpp"
#include "support/convolution.hpp"

using namespace tombola;
using kernels::ConvShape;
using test::at;

namespace {

/// Windows that tile, that overlap, that leave pixels out; padding; one pixel; every tail of channels.
std::vector<ConvShape> shapes() {
  std::vector<ConvShape> all;
  const auto add = [&](Index batch, Index height, Index width, Index channels, std::array<Index, 2> window, std::array<Index, 2> stride,
                       std::array<Index, 2> padding) {
    all.push_back({.batch = batch, .height = height, .width = width, .in = channels, .out = channels, .kernel_y = window[0],
                   .kernel_x = window[1], .stride_y = stride[0], .stride_x = stride[1], .padding_y = padding[0], .padding_x = padding[1]});
  };
  for (const Index channels : test::sizes) {
    if (channels > 0 && channels < 200) add(2, 3, 5, channels, {2, 3}, {1, 2}, {1, 1});
  }
  add(2, 4, 6, 19, {2, 2}, {2, 2}, {0, 0});
  add(1, 7, 5, 19, {3, 3}, {2, 2}, {1, 1});
  add(3, 5, 4, 2, {3, 2}, {1, 2}, {1, 0});
  add(1, 1, 1, 1, {1, 1}, {1, 1}, {0, 0});
  add(2, 5, 5, 33, {2, 2}, {3, 3}, {0, 0});
  add(1, 6, 6, 17, {6, 6}, {1, 1}, {3, 3});
  return all;
}

/// What an architecture and any number of threads give, and what the definition does, in the same order of sums.
template <class T>
struct Pooled {
  test::Guarded<T> largest, mean, largest_dx, mean_dx;

  explicit Pooled(const ConvShape& s)
      : largest(outputs(s)), mean(outputs(s)), largest_dx(inputs(s), T(0.5)), mean_dx(inputs(s), T(0.5)) {}
  static Index outputs(const ConvShape& s) { return s.batch * s.out_height() * s.out_width() * s.in; }
  static Index inputs(const ConvShape& s) { return s.batch * s.height * s.width * s.in; }
  bool intact() const { return largest.intact() && mean.intact() && largest_dx.intact() && mean_dx.intact(); }
};

template <class T, class Arch>
Pooled<T> pool(const ConvShape& s, int threads, const std::vector<T>& x, const std::vector<T>& dy, bool add) {
  Pooled<T> got(s);
  kernels::max_pool<T, Arch>(threads, s, x.data(), got.largest.data());
  kernels::average_pool<T, Arch>(threads, s, x.data(), got.mean.data());
  kernels::max_pool_backward<T, Arch>(threads, s, x.data(), dy.data(), got.largest_dx.data(), add);
  kernels::average_pool_backward<T, Arch>(threads, s, dy.data(), got.mean_dx.data(), add);
  return got;
}

template <class T>
Pooled<double> pool_directly(const ConvShape& s, const std::vector<T>& x, const std::vector<T>& dy, bool add) {
  Pooled<double> exact(s);
  for (auto* dx : {&exact.largest_dx, &exact.mean_dx}) std::fill_n(dx->data(), dx->size(), add ? 0.5 : 0.0);
  const double window = static_cast<double>(s.kernel_y * s.kernel_x);
  for (Index i = 0; i < exact.mean.size(); ++i) {
    const Index c = i % s.in, column = i / s.in % s.out_width(), row = i / s.in / s.out_width() % s.out_height();
    const Index n = i / s.in / s.out_width() / s.out_height();
    std::vector<Index> seen;  // in the order of taps
    for (Index p = 0; p < s.kernel_y; ++p) {
      for (Index q = 0; q < s.kernel_x; ++q) {
        const Index a = row * s.stride_y + p - s.padding_y, b = column * s.stride_x + q - s.padding_x;
        if (a >= 0 && a < s.height && b >= 0 && b < s.width) seen.push_back(((n * s.height + a) * s.width + b) * s.in + c);
      }
    }
    Index first = seen.at(0);
    double sum = 0;
    for (const Index pixel : seen) {
      sum += static_cast<double>(x[at(pixel)]);
      if (x[at(pixel)] > x[at(first)]) first = pixel;
    }
    exact.largest[i] = static_cast<double>(x[at(first)]);
    exact.mean[i] = sum / window;
    exact.largest_dx[first] += static_cast<double>(dy[at(i)]);
    for (const Index pixel : seen) exact.mean_dx[pixel] += static_cast<double>(dy[at(i)]) / window;
  }
  return exact;
}

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("pooling: by the definition", Kind, pooling) {
  using T = typename Kind::T;
  for (const ConvShape& s : shapes()) {
    CAPTURE(test::text(s));
    // A few small multiples of 1/8: many equals in a window, and sums are exact but for the division by the window's size.
    auto x = test::uniform<T>(Pooled<T>::inputs(s), -4, 4, 1), dy = test::uniform<T>(Pooled<T>::outputs(s), -8, 8, 2);
    for (auto* values : {&x, &dy}) {
      for (T& value : *values) value = std::floor(value) / 8;
    }
    for (const bool add : {false, true}) {
      const Pooled<T> got = pool<T, typename Kind::Arch>(s, 2, x, dy, add);
      const Pooled<double> exact = pool_directly(s, x, dy, add);
      CHECK(got.intact());
      Index wrong = 0;
      double worst = 0;
      for (Index i = 0; i < got.largest.size(); ++i) {
        wrong += static_cast<double>(got.largest[i]) != exact.largest[i];
        worst = std::max(worst, std::abs(static_cast<double>(got.mean[i]) - exact.mean[i]));
      }
      for (Index i = 0; i < got.largest_dx.size(); ++i) {
        wrong += static_cast<double>(got.largest_dx[i]) != exact.largest_dx[i];
        worst = std::max(worst, std::abs(static_cast<double>(got.mean_dx[i]) - exact.mean_dx[i]));
      }
      CHECK(wrong == 0);
      // Up to 36 windows see a pixel; a sum of shares stays below one or two.
      CHECK(worst < 32 * static_cast<double>(std::numeric_limits<T>::epsilon()));
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(pooling, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("pooling: a NaN is the largest, and the first tap of a window of -infinity", Kind, pooling_order) {
  using T = typename Kind::T;
  const T nan = std::numeric_limits<T>::quiet_NaN(), low = -std::numeric_limits<T>::infinity();
  for (const Index channels : {1, 8, 21}) {
    const ConvShape s{.batch = 1, .height = 1, .width = 8, .in = channels, .out = channels, .kernel_x = 4, .stride_x = 4};
    std::vector<T> x(at(8 * channels));
    const T pixels[] = {1, nan, -low, nan, low, low, low, low};
    for (Index i = 0; i < 8 * channels; ++i) x[at(i)] = pixels[i / channels];
    const std::vector<T> dy(at(2 * channels), T(3));
    const Pooled<T> got = pool<T, typename Kind::Arch>(s, 1, x, dy, false);
    for (Index c = 0; c < channels; ++c) {
      CHECK(std::isnan(got.largest[c]));
      CHECK(got.largest[channels + c] == low);
    }
    for (Index i = 0; i < 8 * channels; ++i) CHECK(got.largest_dx[i] == (i / channels == 1 || i / channels == 4 ? 3 : 0));
  }
}
TEST_CASE_TEMPLATE_APPLY(pooling_order, test::OnEach);

TEST_CASE("pooling: the same bits for any number of threads") {
  for (const ConvShape& s : shapes()) {
    CAPTURE(test::text(s));
    const auto x = test::uniform<float>(Pooled<float>::inputs(s), -1, 1, 1), dy = test::uniform<float>(Pooled<float>::outputs(s), -1, 1, 2);
    const auto one = pool<float, simd::Native>(s, 1, x, dy, true);
    for (const int threads : test::thread_counts) {
      const auto many = pool<float, simd::Native>(s, threads, x, dy, true);
      CHECK((many.largest == one.largest && many.mean == one.mean && many.largest_dx == one.largest_dx && many.mean_dx == one.mean_dx));
    }
  }
}
