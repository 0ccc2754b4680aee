/// \file
/// The width multiplier of models.
#pragma once

#include "tombola/core/error.hpp"
#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA::models {

/// channels times `by`, rounded down. Throws `std::invalid_argument` "name: ..." if nothing is left.
inline Index scaled_channels(const char* name, Index channels, double by) {
  const double made = static_cast<double>(channels) * by;
  require(made >= 1 && made <= 1 << 24, name, ": expected a width that leaves 1 to 2^24 channels, got ", by);
  return static_cast<Index>(made);
}

}  // namespace tombola::inline TOMBOLA_ISA::models
