/// \file
/// The weight lambda of the penalty's mean over all gates in a search: constant, ramped, or led by a controller to a target sparsity.
#pragma once

#include <algorithm>
#include <cmath>

#include "tombola/core/error.hpp"

namespace tombola::inline TOMBOLA_ISA::gates {

/// lambda at a share `progress` in [0, 1] of the search: linear from 0 over the first `ramp` of it, then constant. `gate_penalty`, a sum over
/// N gates, takes lambda / N.
inline double ramped_lambda(double lambda, double ramp, double progress) noexcept {
  return ramp <= 0 ? lambda : lambda * std::min(1.0, progress / ramp);
}

/// Leads the share of closed gates to a target by adjusting lambda. The set point goes from where the search starts to the target
/// over the first `rise` of the search, in the logit of the sparsity, in which equal steps are equally hard. A proportional-integral
/// controller acts on u = asinh(lambda): nearly log lambda where lambda is large, and through zero to negative values, which open
/// gates, where a search by itself would close more than was asked for. The state is part of a checkpoint.
///
///     gates::SparsityController controller(0.95);  // once; then in each step, for N gates in `all`:
///     const double lambda = controller.update(gates::sparsity(context.threads(), all), double(step) / steps, 1.0 / steps);
///     tape.backward(error + gate_penalty(tape, all, Penalty::sparse, lambda / N));  // a sum, of which lambda weighs the mean
class SparsityController {
 public:
  struct State {
    double integral = 0, start_logit = 0;
    bool started = false;
  };

  /// Throws `std::invalid_argument` unless 0 < target < 1 and 0 < rise < 1.
  explicit SparsityController(double target, double rise = 0.6) : target_(target), rise_(rise) {
    require(target > 0 && target < 1, "sparsity controller: expected a target in (0, 1), got ", target);
    require(rise > 0 && rise < 1, "sparsity controller: expected a rise in (0, 1), got ", rise);
  }

  /// The next lambda, of the penalty's mean over all gates, from the sparsity at a share `progress` of the search; `interval` is the share since
  /// the last call.
  double update(double sparsity, double progress, double interval) noexcept {
    const double now = logit(std::clamp(sparsity, 1e-6, 1 - 1e-6));
    if (!state_.started) state_ = {0, now, true};
    const double left = 1 - std::min(1.0, progress / rise_);  // squared: the set point arrives without a jolt
    const double error = logit(target_) - (logit(target_) - state_.start_logit) * left * left - now;
    state_.integral = std::clamp(state_.integral + integral_gain * error * interval, -limit, limit);
    return std::sinh(std::clamp(state_.integral + proportional_gain * error, -limit, limit));
  }

  const State& state() const noexcept { return state_; }
  void restore(const State& state) noexcept { state_ = state; }

 private:
  static double logit(double p) noexcept { return std::log(p / (1 - p)); }
  static constexpr double limit = 7;  // |lambda| <= 548
  static constexpr double proportional_gain = 20, integral_gain = 40;

  double target_, rise_;
  State state_;
};

}  // namespace tombola::inline TOMBOLA_ISA::gates
