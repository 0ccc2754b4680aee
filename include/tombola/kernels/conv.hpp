/// \file
/// Two-dimensional convolution, forwards and backwards, for one group of channels after the other. No patches are written out:
/// images get their padding a block at a time, and the micro-kernel of the product reads them with strides.
#pragma once

#include <numeric>

#include "tombola/core/memory.hpp"
#include "tombola/kernels/conv_shape.hpp"
#include "tombola/kernels/conv_weight_gradient.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

inline Correlation forward_correlation(const ConvShape& s, Index group) noexcept {
  const Index out_y = s.out_height(), out_x = s.out_width();
  return {.images = s.batch,
          .height = s.height,
          .width = s.width,
          .channels = s.in,
          .first = group * s.group_in(),
          .depth = s.group_in(),
          .low_y = s.padding_y,
          .low_x = s.padding_x,
          .step_y = s.stride_y,
          .step_x = s.stride_x,
          .taps_y = s.kernel_y,
          .taps_x = s.kernel_x,
          .tap_y = s.dilation_y,
          .tap_x = s.dilation_x,
          .out_y = out_y,
          .out_x = out_x,
          .columns = s.group_out(),
          .y_image = out_y * out_x * s.out,
          .y_line = out_x * s.out,
          .y_pixel = s.out};
}

/// Along one axis, the taps that reach the inputs r, r + stride, r + 2 stride, ...: input r + i stride is reached from output
/// i + first + t step by tap last - t tap_step, for t in [0, count).
struct AxisPhase {
  Index inputs, count, first, step, last, tap_step;

  AxisPhase(Index r, Index size, Index kernel, Index stride, Index padding, Index dilation) noexcept
      : inputs((size - r + stride - 1) / stride) {
    const Index common = std::gcd(stride, dilation);
    tap_step = stride / common;
    step = dilation / common;
    count = first = last = 0;
    for (Index tap = kernel - 1; tap >= 0; --tap) {
      if ((r + padding - tap * dilation) % stride != 0) continue;
      if (count++ == 0) {
        last = tap;
        first = (r + padding - tap * dilation) / stride;
      }
    }
  }
};

/// dx at inputs (ry + i stride_y, rx + j stride_x) as a correlation of dy with the taps in reverse order.
inline Correlation input_gradient_correlation(const ConvShape& s, Index group, const AxisPhase& y, const AxisPhase& x) noexcept {
  return {.images = s.batch,
          .height = s.out_height(),
          .width = s.out_width(),
          .channels = s.out,
          .first = group * s.group_out(),
          .depth = s.group_out(),
          .low_y = -y.first,
          .low_x = -x.first,
          .step_y = 1,
          .step_x = 1,
          .taps_y = y.count,
          .taps_x = x.count,
          .tap_y = y.step,
          .tap_x = x.step,
          .out_y = y.inputs,
          .out_x = x.inputs,
          .columns = s.group_in(),
          .y_image = s.height * s.width * s.in,
          .y_line = s.stride_y * s.width * s.in,
          .y_pixel = s.stride_x * s.in};
}

/// Packs w [columns, terms] of one group, panel by panel.
template <class T, class Arch>
void pack_taps(const Threads& threads, const Correlation& c, const T* w, T* packed, T* buffers, Index buffer) noexcept {
  constexpr Index columns = GemmTile<T, Arch>::columns;
  const auto by_terms = Matrix<const T>{w, c.columns, c.terms(), c.terms(), 1}.transposed();
  constexpr Index depth = GemmTile<T, Arch>::depth;
  const Index panels = divide_up(c.columns, columns), parts = divide_up(c.terms(), depth);
  parallel_for(threads, panels * parts, [&](Index chunk, int worker) {
    const Index panel = chunk / parts, k = chunk % parts * depth;
    const Range lines{panel * columns, std::min(c.columns, (panel + 1) * columns)}, terms{k, std::min(c.terms(), k + depth)};
    pack_along_k<columns, Arch>(by_terms, lines, terms, packed + (panel * c.terms() + k) * columns, buffers + worker * buffer);
  });
}

/// Packs the taps of one phase, last tap first: packed (p, q, o) of column c is w[o, last - p step, last - q step, c].
template <class T, class Arch>
void pack_reversed_taps(const Threads& threads, const ConvShape& s, const Correlation& c, const AxisPhase& y, const AxisPhase& x,
                        const T* w, T* packed) noexcept {
  constexpr Index columns = GemmTile<T, Arch>::columns;
  const Index panels = divide_up(c.columns, columns), taps = y.count * x.count;
  parallel_for(threads, panels * taps, [&](Index chunk) {
    const Index panel = chunk / taps, p = chunk % taps / x.count, q = chunk % taps % x.count;
    const Range across{panel * columns, std::min(c.columns, (panel + 1) * columns)};
    const T* tap = w + ((y.last - p * y.tap_step) * s.kernel_x + x.last - q * x.tap_step) * s.group_in();
    const Matrix<const T> matrix{tap, c.depth, c.columns, s.taps(), 1};
    T* to = packed + (panel * c.terms() + (p * x.count + q) * c.depth) * columns;
    pack_across_k<columns, Arch>(matrix, across, {0, c.depth}, 1, [](Index) { return Index{0}; }, to, static_cast<T*>(nullptr));
  });
}

}  // namespace detail

/// y = conv(x, w): see ConvShape; y is written, or added to if `add`.
/// Throws `std::bad_alloc` if the scratch memory cannot grow.
template <class T, class Arch = simd::Native>
void conv(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* w, T* y, bool add = false) {
  for (Index group = 0; group < s.groups; ++group) {
    const Correlation c = detail::forward_correlation(s, group);
    const Correlate<T, Arch> correlate(c);
    constexpr Index buffer = GemmTile<T, Arch>::width * GemmTile<T, Arch>::depth;
    const Index taps = packed_taps<T, Arch>(c), each = std::max(buffer, correlate.scratch());
    T* packed = scratch.take<T>(static_cast<std::size_t>(taps + threads.count() * each));
    detail::pack_taps<T, Arch>(threads, c, w + group * s.group_out() * s.taps(), packed, packed + taps, each);
    correlate.run(threads, x, packed, y + group * s.group_out(), add, packed + taps);
  }
}

/// dx = the gradient by x, from dy; written, or added to if `add`.
template <class T, class Arch = simd::Native>
void conv_input_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* w, const T* dy, T* dx,
                         bool add = false) {
  for (Index ry = 0; ry < std::min(s.stride_y, s.height); ++ry) {
    const detail::AxisPhase py(ry, s.height, s.kernel_y, s.stride_y, s.padding_y, s.dilation_y);
    for (Index rx = 0; rx < std::min(s.stride_x, s.width); ++rx) {
      const detail::AxisPhase px(rx, s.width, s.kernel_x, s.stride_x, s.padding_x, s.dilation_x);
      T* first = dx + (ry * s.width + rx) * s.in;
      for (Index group = 0; group < s.groups; ++group) {
        const Correlation c = detail::input_gradient_correlation(s, group, py, px);
        T* to = first + group * s.group_in();
        if (c.taps_y == 0 || c.taps_x == 0) {  // no output has seen these inputs
          if (add) continue;
          parallel_for(threads, s.batch * c.out_y, [&](Index line) {
            T* at = to + line / c.out_y * c.y_image + line % c.out_y * c.y_line;
            for (Index pixel = 0; pixel < c.out_x; ++pixel) std::fill_n(at + pixel * c.y_pixel, c.columns, T(0));
          });
          continue;
        }
        const Correlate<T, Arch> correlate(c);
        const Index taps = packed_taps<T, Arch>(c);
        T* packed = scratch.take<T>(static_cast<std::size_t>(taps + threads.count() * correlate.scratch()));
        detail::pack_reversed_taps<T, Arch>(threads, s, c, py, px, w + group * s.group_out() * s.taps(), packed);
        correlate.run(threads, dy, packed, to, add, packed + taps);
      }
    }
  }
}

/// dw = the gradient by w, from dy; written, or added to if `add`.
template <class T, class Arch = simd::Native>
void conv_weight_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* dy, T* dw,
                          bool add = false) {
  for (Index group = 0; group < s.groups; ++group) {
    const CorrelateGradient<T, Arch> correlate(detail::forward_correlation(s, group));
    T* room = scratch.take<T>(static_cast<std::size_t>(correlate.scratch(threads.count())));
    correlate.run(threads, x, dy + group * s.group_out(), dw + group * s.group_out() * s.taps(), add, room);
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
