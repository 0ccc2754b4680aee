/// \file
/// Eigen and Tombola on the same memory, without copies. Outside the umbrella header, which does without Eigen.
#pragma once

#include <Eigen/Core>

#include "tombola/core/tensor.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {
template <class T>
using RowMajor = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using MatrixMap = Eigen::Map<std::conditional_t<std::is_const_v<T>, const RowMajor<T>, RowMajor<T>>>;
}  // namespace detail

/// The elements of a view as a row-major Eigen matrix [rows, columns]; all but the last axis are folded into rows.
/// Borrows the elements: valid as long as their owner.
template <class T>
detail::MatrixMap<T> as_eigen(View<T> view) {
  return {view.data(), view.shape().rows(), view.shape().last()};
}
template <class T>
detail::MatrixMap<T> as_eigen(Tensor<T>& tensor) {
  return as_eigen(tensor.view());
}
template <class T>
detail::MatrixMap<const T> as_eigen(const Tensor<T>& tensor) {
  return as_eigen(tensor.view());
}
template <class T>
void as_eigen(const Tensor<T>&& tensor) = delete;  // it would be gone

/// The elements of a row-major Eigen matrix or a vector as a view: [rows, columns], or [size] of a vector.
/// Borrows the elements.
template <class Derived>
View<const typename Derived::Scalar> as_view(const Eigen::PlainObjectBase<Derived>& matrix) {
  if constexpr (Derived::IsVectorAtCompileTime) {
    return {matrix.data(), {matrix.size()}};
  } else {
    static_assert(Derived::IsRowMajor, "as_view: a column-major matrix would have to be copied: use Eigen::RowMajor");
    return {matrix.data(), {matrix.rows(), matrix.cols()}};
  }
}
template <class Derived>
View<typename Derived::Scalar> as_view(Eigen::PlainObjectBase<Derived>& matrix) {
  const View<const typename Derived::Scalar> view = as_view(static_cast<const Eigen::PlainObjectBase<Derived>&>(matrix));
  return {matrix.data(), view.shape()};
}
template <class Derived>
void as_view(const Eigen::PlainObjectBase<Derived>&& matrix) = delete;  // it would be gone
/// The same of a map without strides, such as `as_eigen` gives: the elements are not its own.
template <class Plain, int alignment>
View<std::conditional_t<std::is_const_v<Plain>, const typename Plain::Scalar, typename Plain::Scalar>> as_view(Eigen::Map<Plain, alignment> matrix) {
  static_assert(Plain::IsVectorAtCompileTime || Plain::IsRowMajor, "as_view: a column-major matrix would have to be copied: use Eigen::RowMajor");
  if constexpr (Plain::IsVectorAtCompileTime) {
    return {matrix.data(), {matrix.size()}};
  } else {
    return {matrix.data(), {matrix.rows(), matrix.cols()}};
  }
}

}  // namespace tombola::inline TOMBOLA_ISA
