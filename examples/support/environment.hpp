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

/// Where tools/fetch-data puts a data set, in the user's cache; empty without a home.
inline std::string cached(const std::string& data_set) {
  const std::string home = environment("HOME"), named = environment("XDG_CACHE_HOME");
  const std::string cache = named.empty() && !home.empty() ? home + "/.cache" : named;
  return cache.empty() ? "" : cache + "/tombola/" + data_set;
}

/// The same for a message.
inline std::string cached_in_words(const std::string& data_set) {
  const std::string folder = cached(data_set);
  return folder.empty() ? "(there is none: neither HOME nor XDG_CACHE_HOME is set)" : folder;
}

}  // namespace examples
