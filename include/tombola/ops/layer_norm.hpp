/// \file
/// Layer normalisation over the last axis.
#pragma once

#include <cmath>

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/layer_norm.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y[r, c] = (x[r, c] - mean[r]) / sqrt(variance[r] + epsilon) weight[c] + bias[c], mean and variance those of row r.
/// x [..., columns]; weight, bias [columns], or neither. With n = (y - bias) / weight and g = dy weight:
/// dx += (g - mean_c g - n mean_c(g n)) / sqrt(variance + epsilon),  dweight += sum_r dy n,  dbias += sum_r dy.
/// Throws `std::invalid_argument` if shapes do not fit, for an epsilon that is negative or not finite, or for values of two passes.
/// Source: Ba, Kiros, Hinton, "Layer normalization", 2016.
template <class T>
Var<T> layer_norm(const Var<T>& x, const Var<T>& weight = {}, const Var<T>& bias = {}, double epsilon = 1e-5) {
  require(x.shape().rank() >= 1 && x.shape().last() >= 1, "layer_norm: expected x [..., columns] with a column, got ", x.shape());
  require(epsilon >= 0 && std::isfinite(epsilon), "layer_norm: expected a finite epsilon of at least 0, got ", epsilon);
  require(bool(weight) == bool(bias), "layer_norm: expected both weight and bias, or neither");
  const Index columns = x.shape().last(), rows = x.shape().rows();
  if (weight) {
    require_one_pass("layer_norm", x, weight);
    require_one_pass("layer_norm", x, bias);
    require(weight.shape() == Shape{columns} && bias.shape() == Shape{columns}, "layer_norm: expected weight and bias [", columns, "], got ",
            weight.shape(), " and ", bias.shape());
  }
  Pass<T>& pass = x.pass();
  const bool affine_learns = weight && (weight.needs_gradient() || bias.needs_gradient());
  Var<T> y = pass.result(x.shape(), x.needs_gradient() || affine_learns);
  const Var<T> mean = pass.result({rows}, false), inverse = pass.result({rows}, false);
  kernels::layer_norm(pass.threads(), rows, columns, x.value().data(), weight ? weight.value().data() : nullptr,
                      bias ? bias.value().data() : nullptr, epsilon, mean.node()->output(), inverse.node()->output(), y.node()->output());
  pass.restore_step(y, {x, weight, bias}, [x = x.node(), y = y.node(), mean = mean.node(), inverse = inverse.node(), weight = weight.node(),
                           bias = bias.node()](Pass<T>& pass) {
    kernels::normalise_rows(pass.threads(), mean->size(), x->shape().last(), x->value.data(),
                            weight == nullptr ? nullptr : weight->value.data(), bias == nullptr ? nullptr : bias->value.data(),
                            mean->value.data(), inverse->value.data(), y->output());
  });
  pass.backward_step(y, [x = x.node(), y = y.node(), mean = mean.node(), inverse = inverse.node(), weight = weight.node(),
                         bias = bias.node(), affine_learns](Pass<T>& pass) {
    const Index columns = x->shape().last(), rows = mean->size();
    kernels::LayerNormBackward<T> of{x->value.data(), y->gradient.data(), mean->value.data(), inverse->value.data(),
                                     weight == nullptr ? nullptr : weight->value.data()};
    T* dx = nullptr;
    if (x->needs_gradient) {
      const auto to = pass.accumulate(*x);
      of.add = to.beta != T(0);
      dx = to.into.data();
    }
    Tensor<T> sums = pass.buffer({affine_learns ? 2 * columns : 0});
    T *dweight = affine_learns ? sums.data() : nullptr, *dbias = affine_learns ? sums.data() + columns : nullptr;
    kernels::layer_norm_backward(pass.threads(), pass.context().workspace(), rows, columns, of, dx, dweight, dbias);
    if (weight != nullptr && weight->needs_gradient) pass.accumulate(*weight, dweight);
    if (bias != nullptr && bias->needs_gradient) pass.accumulate(*bias, dbias);
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
