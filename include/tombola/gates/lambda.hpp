/// \file
/// The weight lambda of the gate penalty over a search: constant, ramped, or led by a controller to a target sparsity.
#pragma once

#include <algorithm>
#include <cmath>

#include "tombola/core/error.hpp"

namespace tombola::inline TOMBOLA_ISA::gates {

/// lambda at a share `progress` in [0, 1] of the search: linear from 0 over the first `ramp` of it, then constant.
inline double ramped_lambda(double lambda, double ramp, double progress) noexcept {
  return ramp <= 0 ? lambda : lambda * std::min(1.0, progress / ramp);
}

/// Leads the share of closed gates to a target by adjusting lambda. The set point rises (or falls) from where the search starts to
/// the target over the first `rise` of the search, in the logit of the sparsity, in which equal steps are equally hard. The
/// controller adds proportional and integral terms of the error to log lambda. Its state is two numbers, for checkpoints.
class SparsityController {
 public:
  struct State {
    double log_lambda;
    double start_logit;
    bool started;
  };

  /// Throws `std::invalid_argument` unless 0 < target < 1, 0 < rise < 1 and lambda > 0.
  SparsityController(double target, double first_lambda, double rise = 0.5)
      : target_(logit(target)),
        rise_(rise),
        state_{std::log(first_lambda), 0, false} {
    require(target > 0 && target < 1, "sparsity controller: expected a target in (0, 1), got ", target);
    require(rise > 0 && rise < 1, "sparsity controller: expected a rise in (0, 1), got ", rise);
    require(first_lambda > 0 && std::isfinite(first_lambda), "sparsity controller: expected a lambda above 0, got ",
            first_lambda);
  }

  /// The next lambda, from the sparsity now; `interval` is the share of the search since the last call.
  double update(double sparsity, double progress, double interval) noexcept {
    const double now = logit(std::clamp(sparsity, 1e-6, 1 - 1e-6));
    if (!state_.started) {
      state_.started = true;
      state_.start_logit = now;
    }
    const double along = std::min(1.0, progress / rise_);
    const double error = state_.start_logit + (target_ - state_.start_logit) * along - now;
    state_.log_lambda = std::clamp(state_.log_lambda + integral_gain * error * interval, std::log(1e-4), std::log(1e4));
    return std::exp(std::clamp(state_.log_lambda + proportional_gain * error, std::log(1e-4), std::log(1e4)));
  }

  const State& state() const noexcept { return state_; }
  void restore(const State& state) noexcept { state_ = state; }

 private:
  static double logit(double p) noexcept { return std::log(p / (1 - p)); }
  static constexpr double proportional_gain = 2, integral_gain = 40;

  double target_, rise_;
  State state_;
};

}  // namespace tombola::inline TOMBOLA_ISA::gates
