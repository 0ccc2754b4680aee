/// \file
/// Convolution of images with a weight tensor.
#pragma once

#include <array>
#include <string_view>

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/convolve.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// How a convolution walks over its images; heights first.
struct ConvOptions {
  std::array<Index, 2> stride = {1, 1};
  std::array<Index, 2> padding = {0, 0};  ///< zeros on each side
  std::array<Index, 2> dilation = {1, 1};
  Index groups = 1;
};

namespace detail {

/// Throws `std::invalid_argument` "name: expected ..." unless x, w and the options fit.
inline kernels::ConvShape conv_shape(std::string_view name, const Shape& x, const Shape& w, const ConvOptions& o) {
  const auto at_least = [](const std::array<Index, 2>& pair, Index least) { return pair[0] >= least && pair[1] >= least; };
  require(at_least(o.stride, 1) && at_least(o.dilation, 1) && at_least(o.padding, 0) && o.groups >= 1,
          name, ": expected strides, dilations and groups of at least 1 and padding of at least 0, got ", o.stride[0], ' ', o.stride[1], ", ",
          o.dilation[0], ' ', o.dilation[1], ", ", o.groups, " and ", o.padding[0], ' ', o.padding[1]);
  constexpr Index most = Index{1} << 24;  // so that no place overflows
  for (const auto& pair : {o.stride, o.padding, o.dilation}) {
    require(pair[0] <= most && pair[1] <= most, name, ": expected strides, padding and dilations of at most ", most, ", got ", pair[0], ' ', pair[1]);
  }
  require(x.rank() == 4 && w.rank() == 4 && x[3] % o.groups == 0 && w[3] == x[3] / o.groups && w[0] % o.groups == 0,
          name, ": expected x [batch, height, width, in] and w [out, kernel height, kernel width, in / ", o.groups, "], got ", x,
          " and ", w);
  require(w.size() >= 1, name, ": expected at least one channel in and out and a kernel, got w ", w);
  const kernels::ConvShape s{x[0],           x[1],         x[2],         x[3],          w[0],          w[1],         w[2],    o.stride[0],
                             o.stride[1],    o.padding[0], o.padding[1], o.dilation[0], o.dilation[1], o.groups};
  require(s.out_height() >= 1 && s.out_width() >= 1, name, ": expected images at least as large as the kernel, got ", x, " and ", w);
  return s;
}

}  // namespace detail

/// y[n, i, j, o] = sum over (p, q, c) of x[n, i stride + p dilation - padding, j stride + q dilation - padding, c] w[o, p, q, c],
/// zero outside of x.  x [batch, height, width, in], w [out, kernel height, kernel width, in / groups], y [batch, height', width', out].
/// dx and dw are the correlations that this has as derivatives. Large ones with 3 x 3 taps are computed by Winograd's algorithm:
/// what is not finite in x then spreads to a whole tile of 4 x 4 outputs.
/// Throws `std::invalid_argument` if shapes or options do not fit, or for values of two passes.
template <class T>
Var<T> conv2d(const Var<T>& x, const Var<T>& w, const ConvOptions& options = {}) {
  require_one_pass("conv2d", x, w);
  const kernels::ConvShape s = detail::conv_shape("conv2d", x.shape(), w.shape(), options);
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({s.batch, s.out_height(), s.out_width(), s.out}, x.needs_gradient() || w.needs_gradient());
  kernels::convolve(pass.threads(), pass.context().workspace(), s, x.value().data(), w.value().data(), y.node()->output());

  pass.backward_step(y, [s, x = x.node(), w = w.node(), y = y.node()](Pass<T>& pass) {
    Workspace& scratch = pass.context().workspace();
    const T* dy = y->gradient.data();
    if (x->needs_gradient) {
      const auto dx = pass.accumulate(*x);
      kernels::convolve_input_gradient(pass.threads(), scratch, s, w->value.data(), dy, dx.into.data(), dx.beta != T(0));
    }
    if (w->needs_gradient) {
      const auto dw = pass.accumulate(*w);
      kernels::convolve_weight_gradient(pass.threads(), scratch, s, x->value.data(), dy, dw.into.data(), dw.beta != T(0));
    }
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
