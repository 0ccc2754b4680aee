/// \file
/// How the library refuses: a caller's mistake is `std::invalid_argument`, a bad file is `std::runtime_error`.
#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// The parts written one after the other with `operator<<`.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return std::move(text).str();
}

/// Throws `std::invalid_argument` with the parts as its message unless `holds`.
/// The parts are formatted only on failure. Example: `require(rows == 3, "linear: expected 3 rows, got ", rows)`.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) [[unlikely]]
    throw std::invalid_argument(concat(parts...));
}

/// Throws `std::runtime_error` "path: at byte offset: expected ..., got ...".
template <class Expected, class Got>
[[noreturn]] void refuse_file(const std::string& path, std::uint64_t offset, const Expected& expected, const Got& got) {
  throw std::runtime_error(concat(path, ": at byte ", offset, ": expected ", expected, ", got ", got));
}

}  // namespace tombola::inline TOMBOLA_ISA
