/// \file
/// Products of matrices by Eigen, in double: independent of the library's own.
#pragma once

#include <Eigen/Core>

#include "support/tensors.hpp"

namespace test_support {

using EigenMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A copy, all axes but the last folded into rows.
template <class T>
EigenMatrix to_eigen(const Tensor<T>& x) {
  const Index rows = x.shape().rows();
  EigenMatrix copy(rows, x.shape().last());
  for (Index i = 0; i < x.size(); ++i) copy.data()[i] = static_cast<double>(x[i]);
  return copy;
}

inline Tensor<double> from_eigen(const EigenMatrix& m, const Shape& shape) {
  Tensor<double> x(shape);
  std::copy_n(m.data(), x.size(), x.data());
  return x;
}

}  // namespace test_support
