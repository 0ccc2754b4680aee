/// \file
/// The names of kinds, penalties and readings, as options and files spell them.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "tombola/core/error.hpp"
#include "tombola/core/gate.hpp"

namespace tombola::inline TOMBOLA_ISA {

inline constexpr std::array<std::string_view, 2> gate_kind_names{"gaussian", "hard-concrete"};
inline constexpr std::array<std::string_view, 5> penalty_names{"none", "sparse", "undecided", "variance", "entropy"};
inline constexpr std::array<std::string_view, 4> reading_names{"sampled", "relaxed", "above_zero", "binary"};

inline std::string_view name_of(GateKind kind) noexcept { return gate_kind_names[static_cast<std::size_t>(kind)]; }
inline std::string_view name_of(Penalty penalty) noexcept { return penalty_names[static_cast<std::size_t>(penalty)]; }
inline std::string_view name_of(Reading reading) noexcept { return reading_names[static_cast<std::size_t>(reading)]; }

/// The value of an enum whose names stand in the table in order. Throws `std::invalid_argument` "what: expected one of ..., got ...".
template <class Enum, std::size_t count>
Enum parse_name(std::string_view what, const std::array<std::string_view, count>& names, std::string_view text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
    all += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  throw std::invalid_argument(concat(what, ": expected one of ", all, ", got ", text));
}

}  // namespace tombola::inline TOMBOLA_ISA
