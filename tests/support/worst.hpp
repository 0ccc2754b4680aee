/// \file
/// The largest of many errors, of which one that is NaN is larger than any.
#pragma once

#include <cmath>

namespace tombola::test {

/// worst = max(worst, error). `std::max` would leave `worst` as it is for an error that is NaN.
template <class T>
void widen(T& worst, T error) noexcept {
  if (!(error <= worst)) worst = std::isnan(error) ? T(INFINITY) : error;
}

}  // namespace tombola::test
