/// \file
/// A span of time as people say it.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

namespace examples {

/// "8 s", "1 min 20 s", "2 h 5 min", "3 d 4 h": the two largest units, rounded; "unknown" unless finite.
inline std::string duration_text(double seconds) {
  if (!(std::abs(seconds) < 1e15)) return "unknown";
  const auto joined = [](long long large, const char* name, long long small, const char* small_name) {
    return std::to_string(large) + name + (small == 0 ? "" : " " + std::to_string(small) + small_name);
  };
  const auto rounded = [seconds](double unit) {
    return static_cast<long long>(std::round(std::max(0.0, seconds) / unit));
  };
  if (const auto whole = rounded(1); whole < 60)
    return std::to_string(whole) + " s";
  else if (whole < 3600)
    return joined(whole / 60, " min", whole % 60, " s");
  if (const auto minutes = rounded(60); minutes < 24 * 60) return joined(minutes / 60, " h", minutes % 60, " min");
  const auto hours = rounded(3600);
  return joined(hours / 24, " d", hours % 24, " h");
}

}  // namespace examples
