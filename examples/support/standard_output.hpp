/// \file
/// Whether what a program printed has reached its reader.
#pragma once

#include <cstdio>
#include <stdexcept>

namespace examples {

/// Throws `std::runtime_error` if something printed so far did not reach standard output, as on a full disk. Called when all is printed:
/// results wait in a buffer until then, and a program that ends with status 0 says that it has delivered them.
inline void check_standard_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw std::runtime_error("standard output: cannot write all of the results");
  }
}

}  // namespace examples
