#include "tombola/kernels/conv_winograd.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "support/architectures.hpp"
#include "support/convolution.hpp"

using namespace tombola;
using namespace tombola::test;

namespace {

template <class T, class Arch>
void convolve(const ConvShape& s, int threads, bool add, ConvArrays<T>& a) {
  Workspace scratch;
  const Threads team(threads);
  kernels::winograd_conv<T, Arch>(team, scratch, s, a.x.data(), a.w.data(), a.y.data(), add);
  kernels::winograd_input_gradient<T, Arch>(team, scratch, s, a.w.data(), a.dy.data(), a.dx.data(), add);
  kernels::winograd_weight_gradient<T, Arch>(team, scratch, s, a.x.data(), a.dy.data(), a.dw.data(), add);
}

/// The largest error over the largest expected value.
template <class T>
double error(const std::vector<T>& got, const std::vector<T>& expected) {
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    const double difference = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
    error = std::max(error, std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference);
  }
  return largest > 0 ? error / largest : error;
}

template <class T, class Arch>
void check(const ConvShape& s) {
  CAPTURE(text(s));
  // Four to six roundings at each of two axes, of terms that are at most an order of magnitude above the result: measured 4e-6 at most.
  const double tolerance = std::is_same_v<T, float> ? 1e-5 : 2e-14;
  ConvArrays<T> expected(s), got(s);
  convolve_directly(s, expected);
  for (auto* values : {&got.y, &got.dx, &got.dw}) std::fill(values->begin(), values->end(), std::numeric_limits<T>::quiet_NaN());
  convolve<T, Arch>(s, 3, false, got);
  REQUIRE(error(got.y, expected.y) < tolerance);
  REQUIRE(error(got.dx, expected.dx) < tolerance);
  REQUIRE(error(got.dw, expected.dw) < tolerance);
  convolve<T, Arch>(s, 1, true, got);
  for (auto* values : {&expected.y, &expected.dx, &expected.dw}) {
    for (T& value : *values) value *= 2;
  }
  REQUIRE(error(got.y, expected.y) < tolerance);
  REQUIRE(error(got.dx, expected.dx) < tolerance);
  REQUIRE(error(got.dw, expected.dw) < tolerance);
}

constexpr ConvShape three_by_three(Index batch, Index height, Index width, Index in, Index out, Index padding_y, Index padding_x) {
  return {.batch = batch, .height = height, .width = width, .in = in, .out = out, .kernel_y = 3, .kernel_x = 3, .padding_y = padding_y, .padding_x = padding_x};
}

/// What makes the kernel cut its work in other ways: tiles of a thread's own and of all, several blocks of either, terms in two visits.
const ConvShape large_shapes[] = {
    three_by_three(9, 16, 16, 40, 56, 1, 1),
    three_by_three(70, 8, 8, 24, 72, 1, 1),
    three_by_three(3, 9, 10, 400, 50, 1, 1),
    three_by_three(70, 5, 4, 130, 120, 1, 1),
};

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("winograd: every size, padding and tail of channels", Kind, all_sizes) {
  for (const Index size : {1, 2, 3, 4, 5, 8, 9, 13}) {
    for (const Index padding : {0, 1, 2, 3}) {
      for (const Index channels : {1, 7, 16, 33}) {
        const ConvShape s = three_by_three(2, size, size + 1, channels, 50 - channels, padding, padding == 3 ? 0 : 1);
        if (s.out_height() > 0 && s.out_width() > 0) check<typename Kind::T, typename Kind::Arch>(s);
      }
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(all_sizes, OnEach);

TEST_CASE_TEMPLATE_DEFINE("winograd: every way to cut the work", Kind, all_cuts) {
  for (const ConvShape& s : large_shapes) check<typename Kind::T, typename Kind::Arch>(s);
}
TEST_CASE_TEMPLATE_APPLY(all_cuts, OnEach);

TEST_CASE("winograd: the same bits for any number of threads") {
  check_threads(large_shapes, convolve<float, simd::Native>);
}

TEST_CASE("winograd: chosen for large convolutions of its kind alone") {
  const ConvShape large = three_by_three(128, 8, 8, 64, 64, 1, 1);
  CHECK(kernels::is_winograd(large));
  const auto but = [large](auto change) {
    ConvShape s = large;
    change(s);
    return s;
  };
  CHECK_FALSE(kernels::is_winograd(but([](ConvShape& s) { s.stride_x = 2; })));
  CHECK_FALSE(kernels::is_winograd(but([](ConvShape& s) { s.dilation_y = 2; })));
  CHECK_FALSE(kernels::is_winograd(but([](ConvShape& s) { s.groups = 2; })));
  CHECK_FALSE(kernels::is_winograd(but([](ConvShape& s) { s.kernel_x = 5; })));
  CHECK_FALSE(kernels::is_winograd(but([](ConvShape& s) { s.in = 3; })));
  CHECK_FALSE(kernels::is_winograd(but([](ConvShape& s) { s.batch = 1; })));
  CHECK_FALSE(kernels::is_winograd(but([](ConvShape& s) { s.height = s.width = 2; })));
  CHECK(kernels::is_winograd(but([](ConvShape& s) { s.height = s.width = 7; })));
}
