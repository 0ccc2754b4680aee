/// \file
/// Learning rates, and the width of the gates' noise, over a run.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA::optim {

/// rate (1 + cos(pi progress)) / 2 for a share `progress` in [0, 1] of the run, after a linear warm-up over its first `warmup`.
/// Source: Loshchilov, Hutter, "SGDR", ICLR 2017, equation 5 without restarts.
inline double cosine_rate(double rate, double progress, double warmup = 0) noexcept {
  if (progress < warmup) return rate * progress / warmup;
  const double along = warmup < 1 ? std::clamp((progress - warmup) / (1 - warmup), 0.0, 1.0) : 0.0;
  return rate * (1 + std::cos(std::numbers::pi * along)) / 2;
}

/// last + (first - last) (1 + cos(pi progress)) / 2: from `first` to `last` along half a cosine.
inline double cosine_between(double first, double last, double progress) noexcept { return last + cosine_rate(first - last, progress); }

}  // namespace tombola::inline TOMBOLA_ISA::optim
