/// \file
/// Batch normalisation over the last axis, with a ReLU behind it where asked for.
#pragma once

#include <cmath>

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/batch_norm.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Moments of each channel that a batch_norm has seen.
template <class T>
struct RunningMoments {
  std::string name;
  Tensor<T> mean, variance;  ///< [channels]; 0 and 1 at first
  Index rows = 0;            ///< how many values of each channel `Normalisation::collect` has averaged over

  RunningMoments(std::string its_name, Index channels)
      : name(std::move(its_name)),
        mean({channels}),
        variance(Tensor<T>::filled({channels}, T(1))) {}
};

struct BatchNormOptions {
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< of the newest batch in the running moments
  bool relu = false;      ///< y = max(0, .)
};

namespace detail {

/// Takes the moments of a batch of `rows` into the running ones; a share of 1 replaces them, whatever they are. The running variance is the
/// unbiased one, as in PyTorch.
template <class T>
void update_moments(RunningMoments<T>& running, View<const T> mean, View<const T> variance, Index rows, double share) {
  const double unbiased = rows > 1 ? static_cast<double>(rows) / static_cast<double>(rows - 1) : 1.0;
  const auto mix = [share](T old, double now) { return static_cast<T>(share == 1 ? now : (1 - share) * static_cast<double>(old) + share * now); };
  for (Index c = 0; c < mean.size(); ++c) {
    running.mean[c] = mix(running.mean[c], static_cast<double>(mean[c]));
    running.variance[c] = mix(running.variance[c], static_cast<double>(variance[c]) * unbiased);
  }
}

}  // namespace detail

/// y[r, c] = (x[r, c] - mean[c]) / sqrt(variance[c] + epsilon) weight[c] + bias[c] + residual[r, c], then max(0, y) if `relu`.
/// x [..., channels]; weight, bias [channels], or neither; a residual of the shape of x, or none. By the pass's `normalisation`, mean and variance are those of the batch, which
/// then enter the running moments (`batch` with the momentum, `collect` as an average over batches by their rows), or the running ones.
/// Gradients are 0 where the ReLU is closed, with the convention that it is at y = 0. Borrows the moments during the call.
/// Throws `std::invalid_argument` if shapes do not fit, for a batch without rows, an epsilon that is negative or not finite, a momentum outside of
/// [0, 1], or for values of two passes.
/// Source: Ioffe, Szegedy, "Batch normalization", ICML 2015.
template <class T>
Var<T> batch_norm(const Var<T>& x, RunningMoments<T>& running, const BatchNormOptions& options = {}, const Var<T>& weight = {},
                  const Var<T>& bias = {}, const Var<T>& residual = {}) {
  const Index channels = running.mean.size();
  require(x.shape().rank() >= 1 && x.shape().last() == channels && x.shape().size() > 0, running.name, ": expected x [..., ", channels,
          "] with at least one row, got ", x.shape());
  require(options.epsilon >= 0 && std::isfinite(options.epsilon) && options.momentum >= 0 && options.momentum <= 1, running.name,
          ": expected a finite epsilon of at least 0 and a momentum in [0, 1], got ", options.epsilon, " and ", options.momentum);
  require(bool(weight) == bool(bias), running.name, ": expected both weight and bias, or neither");
  if (weight) {
    require_one_pass("batch_norm", x, weight);
    require_one_pass("batch_norm", x, bias);
    require(weight.shape() == Shape{channels} && bias.shape() == Shape{channels}, running.name, ": expected weight and bias [", channels,
            "], got ", weight.shape(), " and ", bias.shape());
  }
  if (residual) {
    require_one_pass("batch_norm", x, residual);
    require(residual.shape() == x.shape(), running.name, ": expected a residual ", x.shape(), ", got ", residual.shape());
  }
  Pass<T>& pass = x.pass();
  const Index rows = x.shape().rows();
  const Normalisation normalisation = pass.normalisation();
  const Var<T> mean = pass.result({channels}, false), inverse = pass.result({channels}, false);
  const Var<T> scale = pass.result({channels}, false), shift = pass.result({channels}, false);
  T *m = mean.node()->output(), *v = inverse.node()->output();
  if (normalisation == Normalisation::running) {
    std::copy_n(running.mean.data(), channels, m);
    std::copy_n(running.variance.data(), channels, v);
  } else {
    kernels::column_moments(pass.threads(), pass.context().workspace(), rows, channels, x.value().data(), m, v);
    const bool collects = normalisation == Normalisation::collect;
    if (collects) running.rows += rows;
    detail::update_moments(running, mean.value(), inverse.value(), rows,
                           collects ? static_cast<double>(rows) / static_cast<double>(running.rows) : options.momentum);
  }
  for (Index c = 0; c < channels; ++c) {
    v[c] = static_cast<T>(1 / std::sqrt(static_cast<double>(v[c]) + options.epsilon));
    scale.node()->output()[c] = weight ? v[c] * weight.value()[c] : v[c];
    shift.node()->output()[c] = (bias ? bias.value()[c] : T(0)) - m[c] * scale.value()[c];
  }
  const bool affine_learns = weight && (weight.needs_gradient() || bias.needs_gradient());
  Var<T> y = pass.result(x.shape(), x.needs_gradient() || affine_learns || (residual && residual.needs_gradient()));
  kernels::scale_and_shift(pass.threads(), rows, channels, x.value().data(), scale.value().data(), shift.value().data(),
                           residual ? residual.value().data() : nullptr, options.relu, y.node()->output());
  if (!residual) {
    pass.restore_step(y, {x}, [x = x.node(), y = y.node(), scale = scale.node(), shift = shift.node(), relu = options.relu](Pass<T>& pass) {
      const Index channels = scale->size();
      kernels::scale_and_shift(pass.threads(), x->size() / channels, channels, x->value.data(), scale->value.data(), shift->value.data(),
                               static_cast<const T*>(nullptr), relu, y->output());
    });
  }
  pass.backward_step(y, [x = x.node(), y = y.node(), mean = mean.node(), inverse = inverse.node(), scale = scale.node(), shift = shift.node(),
                         weight = weight.node(), bias = bias.node(), residual = residual.node(), relu = options.relu,
                         constant = normalisation == Normalisation::running](Pass<T>& pass) {
    const Index channels = mean->size(), rows = x->size() / channels;
    kernels::BatchNormBackward<T> of{x->value.data(),     y->gradient.data(),  mean->value.data(), inverse->value.data(),
                                     scale->value.data(), shift->value.data(), relu,               constant};
    T* dx = nullptr;
    if (x->needs_gradient) {
      const auto to = pass.accumulate(*x);
      of.add = to.beta != T(0);
      dx = to.into.data();
    }
    if (residual != nullptr) {
      of.y = y->value.data();
      if (residual->needs_gradient) {
        const auto to = pass.accumulate(*residual);
        of.add_residual = to.beta != T(0);
        of.dresidual = to.into.data();
      }
    }
    Tensor<T> sums = pass.buffer({2, channels});
    kernels::batch_norm_backward(pass.threads(), pass.context().workspace(), rows, channels, of, dx, sums.data(), sums.data() + channels);
    if (weight != nullptr && weight->needs_gradient) pass.accumulate(*weight, sums.data());
    if (bias != nullptr && bias->needs_gradient) pass.accumulate(*bias, sums.data() + channels);
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
