/// \file
/// Activation: one of the elementwise nonlinearities, chosen at run time.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "tombola/gates/names.hpp"
#include "tombola/ops/elu.hpp"
#include "tombola/ops/gelu.hpp"
#include "tombola/ops/leaky_relu.hpp"
#include "tombola/ops/prelu.hpp"
#include "tombola/ops/relu.hpp"
#include "tombola/ops/sigmoid.hpp"
#include "tombola/ops/softsign.hpp"
#include "tombola/ops/tanh.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

enum class ActivationKind : std::uint8_t { relu, leaky_relu, prelu, elu, gelu, tanh, sigmoid, softsign };
inline constexpr std::array<std::string_view, 8> activation_names{"relu", "leaky_relu", "prelu",   "elu",
                                                                  "gelu", "tanh",       "sigmoid", "softsign"};

/// leaky_relu has the slope .01, prelu a frozen slope of .25, elu alpha 1.
struct Activation {
  ActivationKind kind = ActivationKind::leaky_relu;

  template <class T>
  Var<T> operator()(const Var<T>& x) const {
    switch (kind) {
    case ActivationKind::relu:
      return relu(x);
    case ActivationKind::leaky_relu:
      return leaky_relu(x);
    case ActivationKind::prelu:
      return prelu(x);
    case ActivationKind::elu:
      return elu(x);
    case ActivationKind::gelu:
      return gelu(x);
    case ActivationKind::tanh:
      return tombola::tanh(x);
    case ActivationKind::sigmoid:
      return sigmoid(x);
    case ActivationKind::softsign:
      return softsign(x);
    }
    throw std::invalid_argument(
        concat("activation: expected one of the ", activation_names.size(), " kinds, got ", static_cast<int>(kind)));
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
