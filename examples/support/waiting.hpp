/// \file
/// How the threads of a program wait for each other: spinning for some microseconds, then asleep.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace examples {

/// Threads that spin all the while, as libgomp's do by default, are ten times slower when another process takes one of their
/// processors. The runtime reads its settings before main: where the user has set none, sets them and starts the program again.
inline void wait_politely(char** argv) {
  for (const char* name : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}) {
    if (std::getenv(name) != nullptr) return;
  }
  setenv("GOMP_SPINCOUNT", "10000", 0);  // g++: rounds of a loop
  setenv("KMP_BLOCKTIME", "1", 0);       // clang: milliseconds
  std::error_code failure;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (!failure) execv(program.c_str(), argv);  // returns only if that cannot be done; then it is merely slower
}

}  // namespace examples
