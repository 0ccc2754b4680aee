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

/// The forward correlation of one group, without taps that read padding alone, and where the weights of its first tap lie.
struct ForwardCorrelation {
  Correlation correlation;
  Index first_weight;

  ForwardCorrelation(const ConvShape& s, Index group) noexcept {
    const Index out_y = s.out_height(), out_x = s.out_width();
    const UsedTaps y(out_y, s.stride_y, s.kernel_y, s.dilation_y, s.padding_y, s.height);
    const UsedTaps x(out_x, s.stride_x, s.kernel_x, s.dilation_x, s.padding_x, s.width);
    correlation = {.images = s.batch,
                   .height = s.height,
                   .width = s.width,
                   .channels = s.in,
                   .first = group * s.group_in(),
                   .depth = s.group_in(),
                   .low_y = s.padding_y - y.first * s.dilation_y,
                   .low_x = s.padding_x - x.first * s.dilation_x,
                   .step_y = s.stride_y,
                   .step_x = s.stride_x,
                   .taps_y = y.count,
                   .taps_x = x.count,
                   .tap_y = s.dilation_y,
                   .tap_x = s.dilation_x,
                   .out_y = out_y,
                   .out_x = out_x,
                   .columns = s.group_out(),
                   .y_image = out_y * out_x * s.out,
                   .y_line = out_x * s.out,
                   .y_pixel = s.out};
    first_weight = group * s.group_out() * s.taps() + (y.first * s.kernel_x + x.first) * s.group_in();
  }
};

/// Along one axis, the taps that reach the inputs r, r + stride, r + 2 stride, ...: input r + i stride is reached from output
/// i + first + t step by tap last - t tap_step, for t in [0, count). Taps that no output reaches any of them with are left out.
struct AxisPhase {
  Index inputs, count, first, step, last, tap_step;

  AxisPhase(Index r, Index size, Index kernel, Index stride, Index padding, Index dilation, Index outputs) noexcept
      : inputs(divide_up(size - r, stride)) {
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
    if (count == 0) return;
    const UsedTaps used(inputs, 1, count, step, -first, outputs);
    first += used.first * step;
    last -= used.first * tap_step;
    count = used.count;
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

/// Packs the taps of one group, panel by panel: tap line p of column o at w[o row + p line].
template <class T, class Arch>
void pack_taps(const Threads& threads, const Correlation& c, const T* w, Index row, Index line, T* packed) noexcept {
  constexpr Index columns = GemmTile<T, Arch>::columns, depth = GemmTile<T, Arch>::depth;
  const Index panels = divide_up(c.columns, columns), terms = c.taps_x * c.depth, parts = divide_up(terms, depth);
  parallel_for(threads, panels * c.taps_y * parts, [&](Index chunk) {
    const Index panel = chunk / parts / c.taps_y, p = chunk / parts % c.taps_y, k = chunk % parts * depth;
    const Matrix<const T> matrix{w + p * line, c.columns, terms, row, 1};
    const Range lines{panel * columns, std::min(c.columns, (panel + 1) * columns)};
    T* to = packed + (panel * c.terms() + p * terms + k) * columns;  // also the buffer, which a matrix does not use
    pack_along_k<columns, Arch>(matrix.transposed(), lines, {k, std::min(terms, k + depth)},
                                to, to);
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
    pack_across_k<columns, Arch>(matrix, across, {0, c.depth}, 1, [](Index) { return Index{0}; }, to, 0, to);
  });
}

}  // namespace detail

/// y = conv(x, w): see ConvShape; y is written, or added to if `add`.
/// Throws `std::bad_alloc` if the scratch memory cannot grow.
template <class T, class Arch = simd::Native>
void conv(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* w, T* y, bool add = false) {
  for (Index group = 0; group < s.groups; ++group) {
    const detail::ForwardCorrelation forward(s, group);
    const Correlation& c = forward.correlation;
    const Correlate<T, Arch> correlate(c);
    const Index taps = packed_taps<T, Arch>(c);
    T* packed = scratch.take<T>(static_cast<std::size_t>(taps + threads.count() * correlate.scratch()));
    detail::pack_taps<T, Arch>(threads, c, w + forward.first_weight, s.taps(), s.kernel_x * s.group_in(), packed);
    correlate.run(threads, x, packed, y + group * s.group_out(), add, packed + taps);
  }
}

/// dx = the gradient by x, from dy; written, or added to if `add`.
template <class T, class Arch = simd::Native>
void conv_input_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* w, const T* dy, T* dx,
                         bool add = false) {
  for (Index ry = 0; ry < std::min(s.stride_y, s.height); ++ry) {
    const detail::AxisPhase py(ry, s.height, s.kernel_y, s.stride_y, s.padding_y, s.dilation_y, s.out_height());
    for (Index rx = 0; rx < std::min(s.stride_x, s.width); ++rx) {
      const detail::AxisPhase px(rx, s.width, s.kernel_x, s.stride_x, s.padding_x, s.dilation_x, s.out_width());
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
    const detail::ForwardCorrelation forward(s, group);
    const Correlation& c = forward.correlation;
    T* to = dw + group * s.group_out() * s.taps();
    const bool all_taps = c.taps_y == s.kernel_y && c.taps_x == s.kernel_x;
    if (!add && (!all_taps || s.batch == 0)) std::fill_n(to, s.group_out() * s.taps(), T(0));
    const CorrelateGradient<T, Arch> correlate(c, {s.taps(), s.kernel_x * s.group_in()});
    T* room = scratch.take<T>(static_cast<std::size_t>(correlate.scratch(threads.count())));
    correlate.run(threads, x, dy + group * s.group_out(), dw + forward.first_weight, add, room);
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
