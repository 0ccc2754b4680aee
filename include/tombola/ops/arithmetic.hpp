/// \file
/// Sums, differences, products and quotients of tensors of one shape, and with numbers.
#pragma once

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/elementwise.hpp"
#include "tombola/ops/unary.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// y_i = value(a_i, b_i); da_i += slope_a(dy_i, a_i, b_i), db_i likewise.
template <class T, class Value, class SlopeA, class SlopeB>
Var<T> binary(const char* name, const Var<T>& a, const Var<T>& b, Value value, SlopeA slope_a, SlopeB slope_b) {
  require_one_pass(name, a, b);
  require(a.shape() == b.shape(), name, ": expected equal shapes, got ", a.shape(), " and ", b.shape());
  Pass<T>& pass = a.pass();
  Var<T> y = pass.result(a.shape(), a.needs_gradient() || b.needs_gradient());
  kernels::map(pass.threads(), a.shape().size(), value, y.node()->output(), a.value().data(), b.value().data());
  pass.backward_step(y, [slope_a, slope_b, a = a.node(), b = b.node(), y = y.node()](Pass<T>& pass) {
    const auto add = [&](Node<T>& x, auto slope) {
      if (!x.needs_gradient) return;
      const auto dx = pass.accumulate(x);
      kernels::map_accumulate(pass.threads(), y->size(), slope, dx.beta, dx.into.data(), y->gradient.data(),
                              a->value.data(), b->value.data());
    };
    add(*a, slope_a);
    add(*b, slope_b);
  });
  return y;
}

/// y = factor x + shift.
template <class T>
struct Affine {
  T factor, shift;
  template <class V>
  V value(const V& x) const noexcept {
    return simd::fma(V(factor), x, V(shift));
  }
  template <class V>
  V slope(const V&, const V&) const noexcept {
    return V(factor);
  }
};

/// y = number / x.
template <class T>
struct Over {
  T number;
  template <class V>
  V value(const V& x) const noexcept {
    return simd::divide(V(number), x);
  }
  template <class V>
  V slope(const V& x, const V& y) const noexcept {
    return -simd::divide(y, x);
  }
};

}  // namespace detail

/// y = a + b, elementwise.  da += dy, db += dy. Throws `std::invalid_argument` unless the shapes are equal.
template <class T>
Var<T> operator+(const Var<T>& a, const Var<T>& b) {
  constexpr auto pass_on = [](const auto& dy, const auto&, const auto&) { return dy; };
  return detail::binary(
      "add", a, b, [](const auto& u, const auto& v) { return u + v; }, pass_on, pass_on);
}

/// y = a - b, elementwise.  da += dy, db -= dy. Throws `std::invalid_argument` unless the shapes are equal.
template <class T>
Var<T> operator-(const Var<T>& a, const Var<T>& b) {
  return detail::binary(
      "subtract", a, b, [](const auto& u, const auto& v) { return u - v; },
      [](const auto& dy, const auto&, const auto&) { return dy; },
      [](const auto& dy, const auto&, const auto&) { return -dy; });
}

/// y = a b, elementwise.  da += dy b, db += dy a. Throws `std::invalid_argument` unless the shapes are equal.
template <class T>
Var<T> operator*(const Var<T>& a, const Var<T>& b) {
  return detail::binary(
      "multiply", a, b, [](const auto& u, const auto& v) { return u * v; },
      [](const auto& dy, const auto&, const auto& v) { return dy * v; },
      [](const auto& dy, const auto& u, const auto&) { return dy * u; });
}

/// y = a / b, elementwise.  da += dy / b, db -= dy a / b^2. Throws `std::invalid_argument` unless the shapes are equal.
template <class T>
Var<T> operator/(const Var<T>& a, const Var<T>& b) {
  return detail::binary(
      "divide", a, b, [](const auto& u, const auto& v) { return simd::divide(u, v); },
      [](const auto& dy, const auto&, const auto& v) { return simd::divide(dy, v); },
      [](const auto& dy, const auto& u, const auto& v) { return -simd::divide(dy, v) * simd::divide(u, v); });
}

/// y = factor x + shift, elementwise.  dx += factor dy.
template <class T>
Var<T> affine(const Var<T>& x, std::type_identity_t<T> factor, std::type_identity_t<T> shift) {
  return unary(x, detail::Affine<T>{factor, shift});
}
template <class T>
Var<T> operator*(const Var<T>& x, std::type_identity_t<T> factor) {
  return affine(x, factor, T(0));
}
template <class T>
Var<T> operator*(std::type_identity_t<T> factor, const Var<T>& x) {
  return affine(x, factor, T(0));
}
/// y = x (1 / divisor), elementwise.  dx += (1 / divisor) dy.
template <class T>
Var<T> operator/(const Var<T>& x, std::type_identity_t<T> divisor) {
  return affine(x, T(1) / divisor, T(0));
}
/// y = number / x, elementwise.  dx -= dy y / x.
template <class T>
Var<T> operator/(std::type_identity_t<T> number, const Var<T>& x) {
  return unary(x, detail::Over<T>{number});
}
template <class T>
Var<T> operator+(const Var<T>& x, std::type_identity_t<T> shift) {
  return affine(x, T(1), shift);
}
template <class T>
Var<T> operator+(std::type_identity_t<T> shift, const Var<T>& x) {
  return affine(x, T(1), shift);
}
template <class T>
Var<T> operator-(const Var<T>& x, std::type_identity_t<T> shift) {
  return affine(x, T(1), -shift);
}
template <class T>
Var<T> operator-(std::type_identity_t<T> shift, const Var<T>& x) {
  return affine(x, T(-1), shift);
}
template <class T>
Var<T> operator-(const Var<T>& x) {
  return affine(x, T(-1), T(0));
}

}  // namespace tombola::inline TOMBOLA_ISA
