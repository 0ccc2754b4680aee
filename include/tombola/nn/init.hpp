/// \file
/// Init: what the layers of a model are built from.
#pragma once

#include <optional>
#include <string>

#include "tombola/gates/options.hpp"
#include "tombola/gates/weights.hpp"
#include "tombola/ops/gated_weight.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// The seed and the options of a model's weights and gates. Each weight tensor takes the next stream number, in the order in which
/// the layers are built: that order is part of what a ticket stands on.
struct Init {
  std::uint64_t seed = 1;
  WeightInit weights = WeightInit::signed_constant;
  std::optional<float> scale = std::nullopt;  ///< of the weights; default: `default_scale` of each layer
  gates::GateOptions gates = {};
  Rescale rescale = Rescale::none;
  std::uint32_t next = 0;  ///< the number of the next weight tensor
  Index left = Index{1} << 34;  ///< how many weights a model may have, less those drawn: what is described by others may be absurd

  /// The frozen weights of the next tensor. Throws `std::invalid_argument` if they are more than are `left`.
  FrozenWeights draw(const Shape& shape, Index fan_in, Index fan_out) {
    require(shape.size() <= left, "init: expected a model whose next weight has at most ", left, " elements, got ", shape);
    left -= shape.size();
    return {seed, next++, weights, scale.value_or(default_scale(weights, fan_in, fan_out))};
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
