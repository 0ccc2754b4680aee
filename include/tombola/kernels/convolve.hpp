/// \file
/// Convolution in the way that is the fastest for its extents: as a product, channel by channel, by Winograd's algorithm or directly.
#pragma once

#include "tombola/kernels/conv.hpp"
#include "tombola/kernels/conv_depthwise.hpp"
#include "tombola/kernels/conv_winograd.hpp"
#include "tombola/kernels/gemm.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

/// The arrays of a convolution that is a plain product: pixels [pixels, channels], weights [out, in].
template <class T>
Matrix<T> pixels(const ConvShape& s, T* data, Index channels) noexcept {
  return {data, s.batch * s.height * s.width, channels, channels, 1};
}
template <class T>
Matrix<T> weights(const ConvShape& s, T* data) noexcept {
  return {data, s.out, s.in, s.in, 1};
}

}  // namespace detail

/// y = conv(x, w): see ConvShape; y is written, or added to if `add`. The same bits for any number of threads.
/// Throws `std::bad_alloc` if the scratch memory cannot grow; so do the gradients.
template <class T, class Arch = simd::Native>
void convolve(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* w, T* y, bool add = false) {
  if (s.is_product()) {
    gemm<Arch>(threads, scratch, detail::pixels(s, x, s.in), detail::weights(s, w).transposed(), add ? T(1) : T(0), detail::pixels(s, y, s.out));
  } else if (is_depthwise(s)) {
    depthwise_conv<T, Arch>(threads, scratch, s, x, w, y, add);
  } else if (is_winograd(s)) {
    winograd_conv<T, Arch>(threads, scratch, s, x, w, y, add);
  } else {
    conv<T, Arch>(threads, scratch, s, x, w, y, add);
  }
}

/// dx = the gradient by x, from dy; written, or added to if `add`.
template <class T, class Arch = simd::Native>
void convolve_input_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* w, const T* dy, T* dx, bool add = false) {
  if (s.is_product()) {
    gemm<Arch>(threads, scratch, detail::pixels(s, dy, s.out), detail::weights(s, w), add ? T(1) : T(0), detail::pixels(s, dx, s.in));
  } else if (is_depthwise(s)) {
    depthwise_input_gradient<T, Arch>(threads, scratch, s, w, dy, dx, add);
  } else if (is_winograd(s)) {
    winograd_input_gradient<T, Arch>(threads, scratch, s, w, dy, dx, add);
  } else {
    conv_input_gradient<T, Arch>(threads, scratch, s, w, dy, dx, add);
  }
}

/// dw = the gradient by w, from dy; written, or added to if `add`.
template <class T, class Arch = simd::Native>
void convolve_weight_gradient(const Threads& threads, Workspace& scratch, const ConvShape& s, const T* x, const T* dy, T* dw, bool add = false) {
  if (s.is_product()) {
    gemm<Arch>(threads, scratch, detail::pixels(s, dy, s.out).transposed(), detail::pixels(s, x, s.in), add ? T(1) : T(0), detail::weights(s, dw));
  } else if (is_depthwise(s)) {
    depthwise_weight_gradient<T, Arch>(threads, scratch, s, x, dy, dw, add);
  } else if (is_winograd(s)) {
    winograd_weight_gradient<T, Arch>(threads, scratch, s, x, dy, dw, add);
  } else {
    conv_weight_gradient<T, Arch>(threads, scratch, s, x, dy, dw, add);
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
