/// \file
/// Pooling of images over windows: the largest element or the mean of each channel; registers run along the channels.
#pragma once

#include <limits>

#include "tombola/kernels/conv_shape.hpp"
#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

/// The largest of the window's elements and the first tap that holds it; a NaN is larger than any number.
template <class T, class Arch, class Read>
void window_maximum(const ConvShape& s, Index i, Index j, const T* image, const Read& read, simd::Batch<T, Arch>& best,
                    simd::Batch<T, Arch>& tap_of_best) noexcept {
  using V = simd::Batch<T, Arch>;
  best = V(-std::numeric_limits<T>::infinity());
  tap_of_best = V(T(-1));
  for_each_tap(s, i, j, [&](Index tap, Index pixel) {
    const V value = read(image + pixel * s.in);
    const auto larger = (value > best) | (tap_of_best < V(T(0))) | (~(value == value) & (best == best));
    best = simd::select(larger, value, best);
    tap_of_best = simd::select(larger, V(static_cast<T>(tap)), tap_of_best);
  });
}

}  // namespace detail

/// y[n, i, j, c] = the largest x in the window of (i, j); what lies outside of the image does not count. `s` gives the window;
/// s.out and s.groups are not looked at, and every window holds a pixel.
template <class T, class Arch = simd::Native>
void max_pool(const Threads& threads, const ConvShape& s, const T* x, T* y) noexcept {
  const Index out_y = s.out_height(), out_x = s.out_width();
  parallel_for(threads, s.batch * out_y, [&](Index line) {
    const T* image = x + line / out_y * s.height * s.width * s.in;
    for (Index j = 0; j < out_x; ++j) {
      detail::for_each_channel_register<T, Arch>(s.in, [&](Index c, const auto& read, const auto& write) {
        simd::Batch<T, Arch> best, tap;
        detail::window_maximum<T, Arch>(s, line % out_y, j, image + c, read, best, tap);
        write(y + (line * out_x + j) * s.in + c, best);
      });
    }
  });
}

/// dx[n, a, b, c] = the sum of dy over the windows whose largest element, the first of equals, is there; added to dx if `add`.
template <class T, class Arch = simd::Native>
void max_pool_backward(const Threads& threads, const ConvShape& s, const T* x, const T* dy, T* dx, bool add) noexcept {
  const Index out_y = s.out_height(), out_x = s.out_width(), size = s.height * s.width * s.in;
  parallel_for(threads, s.batch, [&](Index n) {
    T* to = dx + n * size;
    if (!add) std::fill_n(to, size, T(0));
    for (Index i = 0; i < out_y; ++i) {
      for (Index j = 0; j < out_x; ++j) {
        detail::for_each_channel_register<T, Arch>(s.in, [&](Index c, const auto& read, const auto& write) {
          using V = simd::Batch<T, Arch>;
          V best, chosen;
          detail::window_maximum<T, Arch>(s, i, j, x + n * size + c, read, best, chosen);
          const V gradient = read(dy + ((n * out_y + i) * out_x + j) * s.in + c);
          detail::for_each_tap(s, i, j, [&](Index tap, Index pixel) {
            T* at = to + pixel * s.in + c;
            write(at, read(at) + simd::select(chosen == V(static_cast<T>(tap)), gradient, V(T(0))));
          });
        });
      }
    }
  });
}

/// y[n, i, j, c] = the sum of x over the window of (i, j), divided by the size of the window, padding included.
template <class T, class Arch = simd::Native>
void average_pool(const Threads& threads, const ConvShape& s, const T* x, T* y) noexcept {
  const Index out_y = s.out_height(), out_x = s.out_width();
  const T share = T(1) / static_cast<T>(s.kernel_y * s.kernel_x);
  parallel_for(threads, s.batch * out_y, [&](Index line) {
    const T* image = x + line / out_y * s.height * s.width * s.in;
    for (Index j = 0; j < out_x; ++j) {
      detail::for_each_channel_register<T, Arch>(s.in, [&](Index c, const auto& read, const auto& write) {
        simd::Batch<T, Arch> sum(T(0));
        detail::for_each_tap(s, line % out_y, j, [&](Index, Index pixel) { sum = sum + read(image + pixel * s.in + c); });
        write(y + (line * out_x + j) * s.in + c, sum * simd::Batch<T, Arch>(share));
      });
    }
  });
}

/// dx[n, a, b, c] = the sum of dy over the windows that see the pixel, divided by their size; added to dx if `add`.
template <class T, class Arch = simd::Native>
void average_pool_backward(const Threads& threads, const ConvShape& s, const T* dy, T* dx, bool add) noexcept {
  const Index out_y = s.out_height(), out_x = s.out_width(), size = s.height * s.width * s.in;
  const T share = T(1) / static_cast<T>(s.kernel_y * s.kernel_x);
  parallel_for(threads, s.batch, [&](Index n) {
    T* to = dx + n * size;
    if (!add) std::fill_n(to, size, T(0));
    for (Index i = 0; i < out_y; ++i) {
      for (Index j = 0; j < out_x; ++j) {
        detail::for_each_channel_register<T, Arch>(s.in, [&](Index c, const auto& read, const auto& write) {
          const auto gradient = read(dy + ((n * out_y + i) * out_x + j) * s.in + c) * simd::Batch<T, Arch>(share);
          detail::for_each_tap(s, i, j, [&](Index, Index pixel) {
            T* at = to + pixel * s.in + c;
            write(at, read(at) + gradient);
          });
        });
      }
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
