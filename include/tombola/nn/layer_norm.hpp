/// \file
/// LayerNorm: normalisation of each row without learned parameters, which frozen networks use.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "tombola/nn/check_finite.hpp"
#include "tombola/ops/layer_norm.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// y = (x - mean) / sqrt(variance + epsilon) over the last axis. No weight and no bias; nothing is learned or kept.
template <class T = float>
struct LayerNorm {
  std::string name;
  Index columns;
  double epsilon = 1e-5;

  /// Throws `std::invalid_argument` unless there is a column.
  LayerNorm(std::string layer, Index its_columns, double its_epsilon = 1e-5)
      : name(std::move(layer)),
        columns(its_columns),
        epsilon(its_epsilon) {
    require(columns >= 1, name, ": expected at least one column, got ", columns);
  }

  /// x [..., columns] -> y of the same shape. Throws `std::invalid_argument` for another x.
  Var<T> operator()(const Var<T>& x) const {
    require(x.shape().rank() >= 1 && x.shape().last() == columns, name, ": expected x [..., ", columns, "], got ", x.shape());
    Var<T> y = layer_norm(x, {}, {}, epsilon);
    if (x.pass().options().checks_finite) check_finite(name, y);
    return y;
  }
  auto members() { return std::tie(); }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
