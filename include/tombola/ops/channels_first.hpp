/// \file
/// From images of pixels to images of planes, as other programs lay them out.
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

}  // namespace detail

/// y[n, c, i, j] = x[n, i, j, c].  x [batch, height, width, channels]. dx likewise.
/// Throws `std::invalid_argument` for another rank.
template <class T>
Var<T> channels_first(const Var<T>& x) {
  const Shape& s = x.shape();
  require(s.rank() == 4, "channels_first: expected x [batch, height, width, channels], got ", s);
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({s[0], s[3], s[1], s[2]}, x.needs_gradient());
  detail::exchange_axes(pass.threads(), s[0], s[1] * s[2], s[3], x.value().data(), T(0), y.node()->output());
  pass.backward_step(y, [x = x.node(), y = y.node()](Pass<T>& pass) {
    const Shape& s = x->shape();
    const auto dx = pass.accumulate(*x);
    detail::exchange_axes(pass.threads(), s[0], s[3], s[1] * s[2], y->gradient.data(), dx.beta, dx.into.data());
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
