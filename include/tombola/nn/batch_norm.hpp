/// \file
/// BatchNorm: normalisation without learned parameters, which frozen networks use.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "tombola/nn/check_finite.hpp"
#include "tombola/nn/members.hpp"
#include "tombola/ops/batch_norm.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// y = (x - mean) / sqrt(variance + epsilon) over the last axis, plus a residual where given, then a ReLU where asked for. No weight and
/// no bias.
template <class T = float>
struct BatchNorm {
  RunningMoments<T> moments;
  BatchNormOptions options;

  /// Throws `std::invalid_argument` unless there is a channel.
  BatchNorm(std::string layer, Index channels, const BatchNormOptions& how = {})
      : moments(std::move(layer), checked(channels)),
        options(how) {}

  /// x [..., channels] -> y of the same shape. Throws as `batch_norm` does.
  Var<T> operator()(const Var<T>& x, const Var<T>& residual = {}) {
    Var<T> y = batch_norm(x, moments, options, {}, {}, residual);
    if (x.pass().options().checks_finite) check_finite(moments.name, y);
    return y;
  }
  auto members() { return std::tie(moments); }

 private:
  static Index checked(Index channels) {
    require(channels >= 1, "batch_norm: expected at least one channel, got ", channels);
    return channels;
  }
};

/// Calls `collect()`, which runs the model over images with `Normalisation::collect`: the running moments become the averages over these batches, by
/// their rows, whatever they were before.
template <class Model, class Collect>
void restart_moments(Model& model, const Collect& collect) {
  const auto restart = [](auto& moments) { moments.rows = 0; };
  for_each_of<RunningMoments<float>>(model, restart);
  for_each_of<RunningMoments<double>>(model, restart);
  collect();
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
