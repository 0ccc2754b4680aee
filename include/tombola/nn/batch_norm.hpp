/// \file
/// BatchNorm: normalisation without learned parameters, which frozen networks use.
#pragma once

#include <cmath>
#include <string>
#include <tuple>
#include <type_traits>
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

/// Calls `f(name, values)` for the running mean and variance of every normalisation, under torchvision's names.
template <class T, class Model, class F>
void for_each_moment(Model& model, const F& f) {
  for_each_of<RunningMoments<T>>(model, [&f](RunningMoments<T>& moments) {
    f(moments.name + ".running_mean", moments.mean);
    f(moments.name + ".running_var", moments.variance);
  });
}

/// Throws `std::invalid_argument` unless the value may be a moment of this name.
template <class T>
void require_moment(const std::string& name, T value) {
  require(std::isfinite(value) && (value >= 0 || !name.ends_with(".running_var")), name, ": expected finite moments, variances of at least 0, got ", value);
}

/// Calls `collect()`, which runs the model over images with `Normalisation::collect`: the running moments become the averages over these batches, by
/// their rows, whatever they were before. After a search they are those of sampled gates, and a binary network has others:
///
///     nn::restart_moments(net, [&] {
///       for (const auto batch : train.epoch(0)) {
///         Inference<float> pass(context, {.normalisation = Normalisation::collect});
///         net(pass.input(batch.x));
///       }
///     });
///     ticket::round_moments(net);  // to what a ticket keeps of them: what is evaluated now is its network, to the last bit
template <class Model, class Collect>
void restart_moments(Model& model, const Collect& collect) {
  for_each_leaf(model, [](auto& leaf) {
    using Leaf = std::remove_cvref_t<decltype(leaf)>;
    if constexpr (std::is_same_v<Leaf, RunningMoments<float>> || std::is_same_v<Leaf, RunningMoments<double>>) leaf.rows = 0;
  });
  collect();
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
