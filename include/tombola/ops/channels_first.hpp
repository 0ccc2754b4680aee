/// \file
/// From images of pixels to images of planes, as other programs lay them out, and back.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/core/parallel.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// to[c][p] = from[p][c] + beta to[c][p] for each of `count` images of pixels x channels.
template <class T>
void exchange_axes(const Threads& threads, Index count, Index pixels, Index channels, const T* from, T beta, T* to) noexcept {
  const Index size = pixels * channels;
  parallel_for(threads, count, [=](Index n) {
    for (Index c = 0; c < channels; ++c) {
      T* plane = to + n * size + c * pixels;
      const T* source = from + n * size + c;
      for (Index p = 0; p < pixels; ++p) plane[p] = source[p * channels] + (beta == T(0) ? T(0) : plane[p]);
    }
  });
}

/// y [shape]: exchange_axes of x's images of pixels x channels. dx likewise.
template <class T>
Var<T> exchange_axes(const Var<T>& x, const Shape& shape, Index pixels, Index channels) {
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result(shape, x.needs_gradient());
  exchange_axes(pass.threads(), shape[0], pixels, channels, x.value().data(), T(0), y.node()->output());
  pass.backward_step(y, [=, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    exchange_axes(pass.threads(), x->shape()[0], channels, pixels, y->gradient.data(), dx.beta, dx.into.data());
  });
  return y;
}

}  // namespace detail

/// y[n, c, i, j] = x[n, i, j, c].  x [batch, height, width, channels]. dx likewise.
/// Throws `std::invalid_argument` for another rank.
template <class T>
Var<T> channels_first(const Var<T>& x) {
  const Shape& s = x.shape();
  require(s.rank() == 4, "channels_first: expected x [batch, height, width, channels], got ", s);
  return detail::exchange_axes(x, {s[0], s[3], s[1], s[2]}, s[1] * s[2], s[3]);
}

/// y[n, i, j, c] = x[n, c, i, j].  x [batch, channels, height, width]. dx likewise.
/// Throws `std::invalid_argument` for another rank.
template <class T>
Var<T> channels_last(const Var<T>& x) {
  const Shape& s = x.shape();
  require(s.rank() == 4, "channels_last: expected x [batch, channels, height, width], got ", s);
  return detail::exchange_axes(x, {s[0], s[2], s[3], s[1]}, s[1], s[2] * s[3]);
}

}  // namespace tombola::inline TOMBOLA_ISA
