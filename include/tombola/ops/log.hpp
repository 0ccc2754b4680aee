/// \file
/// Natural logarithm.
#pragma once

#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
struct Log {
  template <class V>
  V value(const V& x) const noexcept {
    return simd::log(x);
  }
  template <class V>
  V slope(const V& x, const V&) const noexcept {
    return simd::divide(V(1), x);
  }
};
}  // namespace detail

/// y = ln x, elementwise; -infinity at 0, NaN below.  dx += dy / x.
template <class T>
Var<T> log(const Var<T>& x) {
  return unary(x, detail::Log{});
}

}  // namespace tombola::inline TOMBOLA_ISA
