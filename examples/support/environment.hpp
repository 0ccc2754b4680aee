/// \file
/// What the user's environment says.
#pragma once

#include <cstdlib>
#include <string>

namespace examples {

/// A variable's value; empty if it is not set.
inline std::string environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

}  // namespace examples
