/// \file
/// Finding the layer in which a computation went wrong.
#pragma once

#include <cmath>
#include <string>

#include "tombola/autograd/pass.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// Throws `std::runtime_error` "name: expected finite outputs, got nan at row 3, column 17" if an element is not finite.
template <class T>
void check_finite(const std::string& name, const Var<T>& y) {
  const View<const T> values = y.value();
  for (Index i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    const Index columns = values.shape().last();
    throw std::runtime_error(
        concat(name, ": expected finite outputs, got ", values[i], " at row ", i / columns, ", column ", i % columns));
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
