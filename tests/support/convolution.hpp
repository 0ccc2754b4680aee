/// \file
/// A convolution by its definition, for the kernels' tests.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tombola/core/error.hpp"
#include "tombola/kernels/conv_shape.hpp"

namespace tombola::test {

using kernels::ConvShape;

/// The arrays of a convolution, of small multiples of 1/8: products and sums of them are exact in float up to thousands of terms.
template <class T>
struct ConvArrays {
  std::vector<T> x, w, y, dy, dx, dw;

  explicit ConvArrays(const ConvShape& s)
      : x(size(s.batch * s.height * s.width * s.in)),
        w(size(s.out * s.taps())),
        y(size(s.batch * s.out_height() * s.out_width() * s.out)),
        dy(y.size()),
        dx(x.size()),
        dw(w.size()) {
    std::uint32_t state = 1;
    for (auto* values : {&x, &w, &dy}) {
      for (T& value : *values) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<T>(static_cast<int>(state >> 20) % 17 - 8) / 8;
      }
    }
  }
  static std::size_t size(Index count) { return static_cast<std::size_t>(count); }
};

/// Inputs whose sums are rounded, so that another order would show.
inline ConvArrays<float> rounded_arrays(const ConvShape& s) {
  ConvArrays<float> a(s);
  for (auto* values : {&a.x, &a.w, &a.dy}) {
    for (std::size_t i = 0; i < values->size(); ++i) (*values)[i] = std::sin(static_cast<float>(i) * 1.7f);
  }
  return a;
}

/// y, dx and dw by the definition.
template <class T>
void convolve_directly(const ConvShape& s, ConvArrays<T>& a) {
  const auto at = [](auto& values, Index i) -> auto& { return values[static_cast<std::size_t>(i)]; };
  for (auto* values : {&a.y, &a.dx, &a.dw}) std::fill(values->begin(), values->end(), T(0));
  for (Index n = 0; n < s.batch; ++n) {
    for (Index i = 0; i < s.out_height(); ++i) {
      for (Index j = 0; j < s.out_width(); ++j) {
        for (Index o = 0; o < s.out; ++o) {
          const Index y = ((n * s.out_height() + i) * s.out_width() + j) * s.out + o;
          for (Index p = 0; p < s.kernel_y; ++p) {
            for (Index q = 0; q < s.kernel_x; ++q) {
              const Index row = i * s.stride_y + p * s.dilation_y - s.padding_y, column = j * s.stride_x + q * s.dilation_x - s.padding_x;
              if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
              for (Index c = 0; c < s.group_in(); ++c) {
                const Index x = ((n * s.height + row) * s.width + column) * s.in + o / s.group_out() * s.group_in() + c;
                const Index w = ((o * s.kernel_y + p) * s.kernel_x + q) * s.group_in() + c;
                at(a.y, y) += at(a.x, x) * at(a.w, w);
                at(a.dx, x) += at(a.dy, y) * at(a.w, w);
                at(a.dw, w) += at(a.dy, y) * at(a.x, x);
              }
            }
          }
        }
      }
    }
  }
}

inline std::string text(const ConvShape& s) {
  return concat(s.batch, " x ", s.height, " x ", s.width, " x ", s.in, " -> ", s.out, ", kernel ", s.kernel_y, " x ", s.kernel_x, ", stride ",
                s.stride_y, ' ', s.stride_x, ", padding ", s.padding_y, ' ', s.padding_x, ", dilation ", s.dilation_y, ' ', s.dilation_x,
                ", groups ", s.groups);
}

/// The same bits for any number of threads from `convolve(s, threads, add, arrays)`.
template <class Shapes, class Convolve>
void check_threads(const Shapes& shapes, const Convolve& convolve) {
  for (const ConvShape& s : shapes) {
    CAPTURE(text(s));
    ConvArrays<float> one = rounded_arrays(s);
    convolve(s, 1, false, one);
    for (const int threads : {2, 3, 7}) {
      ConvArrays<float> many = rounded_arrays(s);
      convolve(s, threads, false, many);
      CHECK(many.y == one.y);
      CHECK(many.dx == one.dx);
      CHECK(many.dw == one.dw);
    }
  }
}

}  // namespace tombola::test
