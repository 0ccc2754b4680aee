#include "tombola/kernels/conv.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/architectures.hpp"
#include "support/convolution.hpp"
#include "tombola/kernels/conv_depthwise.hpp"

using namespace tombola;
using namespace tombola::test;

namespace {

/// The same through the kernels; what was in the results is overwritten, or added to.
template <class T, class Arch>
void convolve(const ConvShape& s, int threads, bool add, ConvArrays<T>& a) {
  Workspace scratch;
  const Threads team(threads);
  if (kernels::is_depthwise(s)) {
    kernels::depthwise_conv<T, Arch>(team, scratch, s, a.x.data(), a.w.data(), a.y.data(), add);
    kernels::depthwise_input_gradient<T, Arch>(team, scratch, s, a.w.data(), a.dy.data(), a.dx.data(), add);
    kernels::depthwise_weight_gradient<T, Arch>(team, scratch, s, a.x.data(), a.dy.data(), a.dw.data(), add);
  } else {
    kernels::conv<T, Arch>(team, scratch, s, a.x.data(), a.w.data(), a.y.data(), add);
    kernels::conv_input_gradient<T, Arch>(team, scratch, s, a.w.data(), a.dy.data(), a.dx.data(), add);
    kernels::conv_weight_gradient<T, Arch>(team, scratch, s, a.x.data(), a.dy.data(), a.dw.data(), add);
  }
}

template <class T, class Arch>
void check(const ConvShape& s) {
  CAPTURE(text(s));
  ConvArrays<T> expected(s), got(s);
  convolve_directly(s, expected);
  for (auto* values : {&got.y, &got.dx, &got.dw}) std::fill(values->begin(), values->end(), std::numeric_limits<T>::quiet_NaN());
  convolve<T, Arch>(s, 3, false, got);
  // All sums are exact: multiples of 1/64 below 2^24 / 64.
  REQUIRE(got.y == expected.y);
  REQUIRE(got.dx == expected.dx);
  REQUIRE(got.dw == expected.dw);
  convolve<T, Arch>(s, 1, true, got);
  for (auto* values : {&expected.y, &expected.dx, &expected.dw}) {
    for (T& value : *values) value *= 2;
  }
  REQUIRE(got.y == expected.y);
  REQUIRE(got.dx == expected.dx);
  REQUIRE(got.dw == expected.dw);
}

/// Every combination of kernel, stride, padding, dilation and groups with small images, odd sizes and tails.
std::vector<ConvShape> small_shapes() {
  std::vector<ConvShape> shapes;
  for (const Index kernel : {1, 2, 3, 5}) {
    for (const Index stride : {1, 2, 3}) {
      for (const Index padding : {0, 1, 3}) {
        for (const Index dilation : {1, 2}) {
          for (const Index groups : {1, 2, 6}) {
            for (const Index height : {4, 7, 13}) {
              ConvShape s{.batch = height == 4 ? 9 : height == 7 ? 2 : 1, .height = height, .width = height + (kernel == 2 ? 3 : 0), .in = 6};
              s.out = groups < 6 ? 10 : height == 4 ? 12 : 6;  // with a group for each channel: two outputs of it, or depthwise
              s.kernel_y = kernel;
              s.kernel_x = kernel == 5 ? 3 : kernel;
              s.stride_y = stride;
              s.stride_x = stride == 3 ? 2 : stride;
              s.padding_y = padding;
              s.padding_x = padding == 3 ? 1 : padding;
              s.dilation_y = s.dilation_x = dilation;
              s.groups = groups;
              if (s.out_height() > 0 && s.out_width() > 0) shapes.push_back(s);
            }
          }
        }
      }
    }
  }
  return shapes;
}

/// What makes the kernels cut their work in other ways.
const ConvShape large_shapes[] = {
    // several panels of columns, terms in several visits
    {.batch = 3, .height = 10, .width = 10, .in = 70, .out = 130, .kernel_y = 3, .kernel_x = 3, .padding_y = 1, .padding_x = 1},
    {.batch = 2, .height = 3, .width = 3, .in = 700, .out = 50, .kernel_y = 3, .kernel_x = 3, .padding_y = 1, .padding_x = 1},
    {.batch = 2, .height = 4, .width = 4, .in = 2000, .out = 8, .stride_y = 2, .stride_x = 2},
    // images cut into blocks of lines
    {.batch = 2, .height = 120, .width = 401, .in = 3, .out = 5, .kernel_y = 7, .kernel_x = 7, .stride_y = 2, .stride_x = 2, .padding_y = 3, .padding_x = 3},
    {.batch = 1, .height = 60, .width = 62, .in = 64, .out = 16, .kernel_y = 3, .kernel_x = 3, .stride_y = 2, .stride_x = 2, .padding_y = 1, .padding_x = 1},
    // one output a line, none, and one pixel
    {.batch = 5, .height = 1, .width = 1, .in = 33, .out = 65, .kernel_y = 3, .kernel_x = 3, .padding_y = 1, .padding_x = 1},
    // The same output of several images in a tile: lines cut into parts, taps in padding alone, odd numbers of images.
    {.batch = 19, .height = 4, .width = 4, .in = 700, .out = 50, .kernel_y = 3, .kernel_x = 3, .padding_y = 1, .padding_x = 1},
    {.batch = 11, .height = 2, .width = 2, .in = 5, .out = 3, .kernel_y = 3, .kernel_x = 3, .padding_y = 6, .padding_x = 6},
    {.batch = 13, .height = 5, .width = 7, .in = 9, .out = 17, .kernel_y = 5, .kernel_x = 5, .stride_y = 2, .stride_x = 3, .padding_y = 2, .padding_x = 2},
    {.batch = 130, .height = 4, .width = 3, .in = 6, .out = 100, .kernel_y = 3, .kernel_x = 2, .padding_y = 2, .padding_x = 1, .dilation_y = 2},
    {.batch = 17, .height = 16, .width = 16, .in = 12, .out = 20, .kernel_y = 3, .kernel_x = 3, .padding_y = 1, .padding_x = 1},
    // the weights' gradient tap by tap, of images so large that they would be cut into lines otherwise
    {.batch = 2, .height = 8, .width = 8, .in = 1024, .out = 8, .kernel_y = 5, .kernel_x = 5, .padding_y = 2, .padding_x = 2},
    {.batch = 0, .height = 5, .width = 5, .in = 3, .out = 4, .kernel_y = 3, .kernel_x = 3},
    {.batch = 1, .height = 1, .width = 1, .in = 1, .out = 1},
    // padding wider than the image, dilation larger than it
    {.batch = 2, .height = 2, .width = 2, .in = 5, .out = 3, .kernel_y = 3, .kernel_x = 3, .padding_y = 6, .padding_x = 6},
    {.batch = 2, .height = 3, .width = 3, .in = 4, .out = 3, .kernel_y = 3, .kernel_x = 3, .padding_y = 4, .padding_x = 4, .dilation_y = 4, .dilation_x = 4},
    // depthwise, more channels than a chunk
    {.batch = 3, .height = 5, .width = 6, .in = 133, .out = 133, .kernel_y = 3, .kernel_x = 3, .padding_y = 1, .padding_x = 1, .groups = 133},
};

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("conv: every kernel, stride, padding, dilation and number of groups", Kind, all_options) {
  for (const ConvShape& s : small_shapes()) check<typename Kind::T, typename Kind::Arch>(s);
}
TEST_CASE_TEMPLATE_APPLY(all_options, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("conv: every way to cut the work", Kind, all_cuts) {
  for (const ConvShape& s : large_shapes) check<typename Kind::T, typename Kind::Arch>(s);
}
TEST_CASE_TEMPLATE_APPLY(all_cuts, test::OnEach);

TEST_CASE("conv: the same bits for any number of threads") {
  check_threads(large_shapes, convolve<float, simd::Native>);
}

TEST_CASE("conv: an infinite input reaches only the outputs that see it") {
  const ConvShape s{.batch = 1, .height = 5, .width = 7, .in = 2, .out = 3, .kernel_y = 3, .kernel_x = 3, .padding_y = 1, .padding_x = 1};
  ConvArrays<float> a(s);
  for (float& w : a.w) w = 1;
  a.x[static_cast<std::size_t>((2 * s.width + 3) * s.in)] = std::numeric_limits<float>::infinity();
  convolve<float, simd::Native>(s, 1, false, a);
  for (Index i = 0; i < s.height; ++i) {
    for (Index j = 0; j < s.width; ++j) {
      const bool sees = std::abs(i - 2) <= 1 && std::abs(j - 3) <= 1;
      CHECK(std::isinf(a.y[static_cast<std::size_t>((i * s.width + j) * s.out)]) == sees);
    }
  }
}
