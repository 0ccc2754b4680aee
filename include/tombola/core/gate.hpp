/// \file
/// The vocabulary of stochastic gates: how they are drawn, penalised and read.
#pragma once

#include <cstdint>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// How a gate z in [0, 1] is drawn around its learned parameter.
enum class GateKind : std::uint8_t { gaussian = 0, hard_concrete = 1 };

/// What is added to the loss for each gate, times lambda. `sparse` is P(z > 0). The others push a gate to 0 or to 1:
/// `undecided` is P(0 < z < 1); with p = P(z > 1/2), `variance` is 4 p (1 - p) and `entropy` is the entropy of p in bits.
enum class Penalty : std::uint8_t { none = 0, sparse = 1, undecided = 2, variance = 3, entropy = 4 };

/// How a pass turns a learned gate into a number: `sampled` draws it (training); `relaxed` is its value without noise;
/// `above_zero` and `binary` are 1 where that value is above 0 and above 1/2, else 0.
enum class Reading : std::uint8_t { sampled = 0, relaxed = 1, above_zero = 2, binary = 3 };

}  // namespace tombola::inline TOMBOLA_ISA
