/// \file
/// Exponential function.
#pragma once

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
struct Exp {
  template <class V>
  V value(const V& x) const noexcept {
    return simd::exp(x);
  }
  template <class V>
  V slope(const V&, const V& y) const noexcept {
    return y;
  }
};
}  // namespace detail

/// y = e^x, elementwise; infinite where that is beyond T.  dx += dy y.
template <class T>
Var<T> exp(const Var<T>& x) {
  return unary(x, detail::Exp{});
}

}  // namespace tombola::inline TOMBOLA_ISA
