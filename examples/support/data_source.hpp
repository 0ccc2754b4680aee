/// \file
/// Where the MNIST data come from: --data, $TOMBOLA_DATA, the user's cache, or the subset in the repository.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "tombola/data/mnist.hpp"

namespace examples {

struct DataSource {
  std::string folder;
  bool is_subset = false;  ///< results on the subset say so
};

/// The first of these that is there; an explicit folder is taken as it is, and refused later if it is not there.
inline DataSource find_mnist(const std::string& given) {
  namespace fs = std::filesystem;
  if (!given.empty()) return {given};
  const auto environment = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  std::error_code ignored;  // what cannot be looked at is not there
  if (const std::string root = environment("TOMBOLA_DATA"); !root.empty() && fs::is_directory(root + "/mnist", ignored))
    return {root + "/mnist"};
  std::string cache = environment("XDG_CACHE_HOME");
  if (cache.empty() && !environment("HOME").empty()) cache = environment("HOME") + "/.cache";
  if (!cache.empty() && fs::is_directory(cache + "/tombola/mnist", ignored)) return {cache + "/tombola/mnist"};
  return {TOMBOLA_MNIST_SUBSET, true};
}

}  // namespace examples
