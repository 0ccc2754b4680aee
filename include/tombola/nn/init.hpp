/// \file
/// Init: what the layers of a model are built from.
#pragma once

#include <optional>
#include <string>

#include "tombola/gates/options.hpp"
#include "tombola/gates/weights.hpp"
#include "tombola/ops/gated_weight.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// What the scale of a layer's weights comes from: how many inputs one output sums over, how many outputs one input feeds, and a factor of
/// the layer's own.
struct Fans {
  Index in, out;
  double gain = 1;
};

/// The seed and the options of a model's weights and gates. Each weight tensor takes the next stream number, in the order in which
/// the layers are built: that order is part of what a ticket stands on.
struct Init {
  std::uint64_t seed = 1;
  WeightInit weights = WeightInit::signed_constant;
  std::optional<float> scale = std::nullopt;  ///< of the weights, before a layer's own gain; default: `default_scale` of each layer
  gates::GateOptions gates = {};
  Rescale rescale = Rescale::none;
  std::uint32_t next = 0;  ///< the number of the next weight tensor
  Index left = Index{1} << 34;  ///< how many weights a model may have, less those drawn: what is described by others may be absurd

  /// The frozen weights of the next tensor. Throws `std::invalid_argument` if they are more than are `left`.
  FrozenWeights draw(const Shape& shape, const Fans& fans) {
    require(shape.size() <= left, "init: expected a model whose next weight has at most ", left, " elements, got ", shape);
    left -= shape.size();
    const float all = scale.value_or(default_scale(weights, fans.in, fans.out));
    return {seed, next++, weights, static_cast<float>(fans.gain * static_cast<double>(all))};
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
