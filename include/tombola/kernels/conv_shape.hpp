/// \file
/// ConvShape: the extents of a two-dimensional convolution.
#pragma once

#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// x [batch, height, width, in], w [out, kernel_y, kernel_x, in / groups], y [batch, out_height, out_width, out]:
/// y[n, i, j, o] = sum over (p, q, c) of x[n, i stride_y + p dilation_y - padding_y, j stride_x + q dilation_x - padding_x, c] w[o, p, q, c],
/// zero outside of x; output channel o of group g sees that group's input channels.
struct ConvShape {
  Index batch = 0, height = 0, width = 0, in = 0, out = 0;
  Index kernel_y = 1, kernel_x = 1;
  Index stride_y = 1, stride_x = 1;
  Index padding_y = 0, padding_x = 0;
  Index dilation_y = 1, dilation_x = 1;
  Index groups = 1;

  constexpr Index out_height() const noexcept { return extent(height, kernel_y, stride_y, padding_y, dilation_y); }
  constexpr Index out_width() const noexcept { return extent(width, kernel_x, stride_x, padding_x, dilation_x); }
  constexpr Index group_in() const noexcept { return in / groups; }
  constexpr Index group_out() const noexcept { return out / groups; }
  /// Weights of one output channel.
  constexpr Index taps() const noexcept { return kernel_y * kernel_x * group_in(); }
  /// Whether it is a plain product of pixels and weights.
  constexpr bool is_product() const noexcept {
    return kernel_y == 1 && kernel_x == 1 && stride_y == 1 && stride_x == 1 && padding_y == 0 && padding_x == 0 && groups == 1;
  }
  friend constexpr bool operator==(const ConvShape&, const ConvShape&) = default;

 private:
  static constexpr Index extent(Index size, Index kernel, Index stride, Index padding, Index dilation) noexcept {
    const Index room = size + 2 * padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  }
};

namespace detail {

/// The input that an output sees with a tap, along one axis; outside of the image it is padding.
constexpr Index input_of(Index output, Index tap, Index stride, Index padding, Index dilation) noexcept {
  return output * stride + tap * dilation - padding;
}

/// Calls f(tap, pixel) for the taps of output (i, j) that lie inside the image, in order.
template <class F>
void for_each_tap(const ConvShape& s, Index i, Index j, const F& f) noexcept {
  for (Index p = 0; p < s.kernel_y; ++p) {
    const Index row = input_of(i, p, s.stride_y, s.padding_y, s.dilation_y);
    if (row < 0 || row >= s.height) continue;
    for (Index q = 0; q < s.kernel_x; ++q) {
      const Index column = input_of(j, q, s.stride_x, s.padding_x, s.dilation_x);
      if (column >= 0 && column < s.width) f(p * s.kernel_x + q, row * s.width + column);
    }
  }
}

}  // namespace detail

}  // namespace tombola::inline TOMBOLA_ISA::kernels
