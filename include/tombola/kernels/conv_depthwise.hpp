/// \file
/// Depthwise convolution, one filter for each channel: registers run along the channels.
#pragma once

#include "tombola/core/memory.hpp"
#include "tombola/kernels/conv_shape.hpp"
#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Whether each channel is convolved with a filter of its own.
constexpr bool is_depthwise(const ConvShape& s) noexcept { return s.groups == s.in && s.in == s.out && s.in > 1; }

namespace detail {

/// to[c] = sum of a[c] b[c] over the pairs that `each` calls its argument with, or added to what is there if `add`.
template <class T, class Arch, class Each>
void sum_of_products(Index channels, T* to, bool add, const Each& each) noexcept {
  for_each_channel_register<T, Arch>(channels, [&](Index c, const auto& read, const auto& write) {
    simd::Batch<T, Arch> sum = add ? read(to + c) : simd::Batch<T, Arch>(T(0));
    each([&](const T* a, const T* b) { sum = simd::fma(read(a + c), read(b + c), sum); });
    write(to + c, sum);
  });
}

/// w [channels, taps] as [taps, channels].
template <class T>
const T* taps_by_channels(const ConvShape& s, const T* w, T* to) noexcept {
  const Index taps = s.kernel_y * s.kernel_x;
  for (Index c = 0; c < s.in; ++c) {
    for (Index tap = 0; tap < taps; ++tap) to[tap * s.in + c] = w[c * taps + tap];
  }
  return to;
}

}  // namespace detail

/// y = conv(x, w) of depthwise `s`; written, or added to if `add`. Throws `std::bad_alloc` if the scratch memory cannot grow.
template <class T, class Arch = simd::Native>
void depthwise_conv(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* w, T* y, bool add = false) {
  const T* taps = detail::taps_by_channels(s, w, scratch.take<T>(static_cast<std::size_t>(s.in * s.kernel_y * s.kernel_x)));
  const Index out_y = s.out_height(), out_x = s.out_width();
  parallel_for(threads, s.batch * out_y, [&](Index line) {
    const Index n = line / out_y, i = line % out_y;
    for (Index j = 0; j < out_x; ++j) {
      detail::sum_of_products<T, Arch>(s.in, y + (line * out_x + j) * s.in, add, [&](const auto& product) {
        detail::for_each_tap(s, i, j, [&](Index tap, Index pixel) { product(x + (n * s.height * s.width + pixel) * s.in, taps + tap * s.in); });
      });
    }
  });
}

/// dx = the gradient by x, from dy; written, or added to if `add`. Throws `std::bad_alloc` if the scratch memory cannot grow.
template <class T, class Arch = simd::Native>
void depthwise_input_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* w, const T* dy, T* dx,
                              bool add = false) {
  const T* taps = detail::taps_by_channels(s, w, scratch.take<T>(static_cast<std::size_t>(s.in * s.kernel_y * s.kernel_x)));
  const Index out_y = s.out_height(), out_x = s.out_width();
  parallel_for(threads, s.batch * s.height, [&](Index line) {
    const Index n = line / s.height, row = line % s.height;
    for (Index column = 0; column < s.width; ++column) {
      detail::sum_of_products<T, Arch>(s.in, dx + (line * s.width + column) * s.in, add, [&](const auto& product) {
        for (Index p = 0; p < s.kernel_y; ++p) {
          const Index up = row + s.padding_y - p * s.dilation_y;
          if (up < 0 || up % s.stride_y != 0 || up / s.stride_y >= out_y) continue;
          for (Index q = 0; q < s.kernel_x; ++q) {
            const Index left = column + s.padding_x - q * s.dilation_x;
            if (left < 0 || left % s.stride_x != 0 || left / s.stride_x >= out_x) continue;
            product(dy + ((n * out_y + up / s.stride_y) * out_x + left / s.stride_x) * s.in, taps + (p * s.kernel_x + q) * s.in);
          }
        }
      });
    }
  });
}

/// dw = the gradient by w, from dy; written, or added to if `add`. Sums run over the images in order.
/// Throws `std::bad_alloc` if the scratch memory cannot grow.
template <class T, class Arch = simd::Native>
void depthwise_weight_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* dy, T* dw,
                               bool add = false) {
  const Index out_y = s.out_height(), out_x = s.out_width(), taps = s.kernel_y * s.kernel_x;
  constexpr Index slice = 64;  // channels of a chunk
  const Index slices = divide_up(s.in, slice);
  T* sums = scratch.take<T>(static_cast<std::size_t>(taps * s.in));
  parallel_for(threads, taps * slices, [&](Index chunk) {
    const Index tap = chunk / slices, first = chunk % slices * slice, channels = std::min(slice, s.in - first);
    const Index p = tap / s.kernel_x, q = tap % s.kernel_x;
    detail::sum_of_products<T, Arch>(channels, sums + tap * s.in + first, false, [&](const auto& product) {
      for (Index line = 0; line < s.batch * out_y; ++line) {
        const Index row = detail::input_of(line % out_y, p, s.stride_y, s.padding_y, s.dilation_y);
        if (row < 0 || row >= s.height) continue;
        for (Index j = 0; j < out_x; ++j) {
          const Index column = detail::input_of(j, q, s.stride_x, s.padding_x, s.dilation_x);
          if (column < 0 || column >= s.width) continue;
          product(x + ((line / out_y * s.height + row) * s.width + column) * s.in + first, dy + (line * out_x + j) * s.in + first);
        }
      }
    });
  });
  for (Index c = 0; c < s.in; ++c) {
    for (Index tap = 0; tap < taps; ++tap) dw[c * taps + tap] = sums[tap * s.in + c] + (add ? dw[c * taps + tap] : T(0));
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
