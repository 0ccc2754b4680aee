/// \file
/// Pooling of images: the largest element, or the mean, of windows or of whole images.
#pragma once

#include <array>

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/pool.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// How a pooling window walks over its images; heights first.
struct PoolOptions {
  std::array<Index, 2> window = {2, 2};
  std::array<Index, 2> stride = {2, 2};
  std::array<Index, 2> padding = {0, 0};  ///< at most half of the window
};

namespace detail {

inline kernels::ConvShape pool_shape(const char* name, const Shape& x, const PoolOptions& o) {
  for (const int axis : {0, 1}) {
    const auto i = static_cast<std::size_t>(axis);
    require(o.window[i] >= 1 && o.stride[i] >= 1 && o.padding[i] >= 0 && o.padding[i] <= o.window[i] / 2, name,
            ": expected a window and a stride of at least 1 and padding of at most half the window, got ", o.window[i], ", ", o.stride[i],
            " and ", o.padding[i]);
  }
  constexpr Index most = Index{1} << 24;  // a float holds the number of each
  require(o.window[0] <= most && o.window[1] <= most / o.window[0], name, ": expected a window of at most ", most, " pixels, got ", o.window[0],
          " x ", o.window[1]);
  require(x.rank() == 4, name, ": expected x [batch, height, width, channels], got ", x);
  const kernels::ConvShape s{x[0], x[1], x[2], x[3], x[3], o.window[0], o.window[1], o.stride[0], o.stride[1], o.padding[0], o.padding[1]};
  require(s.height >= 1 && s.width >= 1 && s.out_height() >= 1 && s.out_width() >= 1, name, ": expected images at least as large as the window, got ", x);
  return s;
}

}  // namespace detail

/// y[n, i, j, c] = max of x[n, i stride + p - padding, j stride + q - padding, c] over the window's (p, q) inside of the image.
/// x [batch, height, width, channels]. dx gets dy where the largest element is, the first of equals.
/// Throws `std::invalid_argument` if shape or options do not fit.
template <class T>
Var<T> max_pool2d(const Var<T>& x, const PoolOptions& options = {}) {
  const kernels::ConvShape s = detail::pool_shape("max_pool2d", x.shape(), options);
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({s.batch, s.out_height(), s.out_width(), s.in}, x.needs_gradient());
  kernels::max_pool(pass.threads(), s, x.value().data(), y.node()->output());
  pass.backward_step(y, [s, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    kernels::max_pool_backward(pass.threads(), s, x->value.data(), y->gradient.data(), dx.into.data(), dx.beta != T(0));
  });
  return y;
}

/// y[n, i, j, c] = mean of x over the window, padding counted as zeros.  x [batch, height, width, channels].
/// dx gets dy divided by the size of the window. Throws `std::invalid_argument` if shape or options do not fit.
template <class T>
Var<T> average_pool2d(const Var<T>& x, const PoolOptions& options = {}) {
  const kernels::ConvShape s = detail::pool_shape("average_pool2d", x.shape(), options);
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({s.batch, s.out_height(), s.out_width(), s.in}, x.needs_gradient());
  kernels::average_pool(pass.threads(), s, x.value().data(), y.node()->output());
  pass.backward_step(y, [s, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    kernels::average_pool_backward(pass.threads(), s, y->gradient.data(), dx.into.data(), dx.beta != T(0));
  });
  return y;
}

/// y[n, c] = mean of x[n, i, j, c] over the image.  x [batch, height, width, channels].
/// dx[n, i, j, c] += dy[n, c] / (height width). Throws `std::invalid_argument` for another rank or images without pixels.
template <class T>
Var<T> global_average_pool(const Var<T>& x) {
  const Shape& shape = x.shape();
  require(shape.rank() == 4 && shape[1] >= 1 && shape[2] >= 1,
          "global_average_pool: expected x [batch, height, width, channels] with pixels, got ", shape);
  const kernels::ConvShape s{shape[0], shape[1], shape[2], shape[3], shape[3], shape[1], shape[2]};  // one window
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({s.batch, s.in}, x.needs_gradient());
  kernels::average_pool(pass.threads(), s, x.value().data(), y.node()->output());
  pass.backward_step(y, [s, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    kernels::average_pool_backward(pass.threads(), s, y->gradient.data(), dx.into.data(), dx.beta != T(0));
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
