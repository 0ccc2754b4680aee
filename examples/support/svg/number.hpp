/// \file
/// Numbers as text for charts and lines: the same bytes in every locale.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

namespace examples {

/// Beyond this a value counts as infinite: charts leave it out.
inline bool drawable(double value) { return std::abs(value) <= 1e300; }

/// The value with that many decimals, "12.50"; never "-0".
inline std::string fixed_text(double value, int decimals) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[400];  // the largest double has 309 digits before the point
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, std::min(decimals, 20));
  std::string text(buffer, end.ptr);
  if (text.front() == '-' && text.find_first_of("123456789") == text.npos) text.erase(0, 1);
  return text;
}

/// The value with at most that many decimals, zeros at the end dropped: "12.5".
inline std::string short_text(double value, int decimals) {
  std::string text = fixed_text(value, decimals);
  if (text.find('.') == text.npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

/// "266,200": commas between groups of three digits before the point.
inline std::string grouped_text(double value, int decimals = 0) {
  std::string text = fixed_text(value, decimals);
  const std::size_t first = text.front() == '-' ? 1 : 0;
  std::size_t at = std::min(text.find('.'), text.size());
  if (text.find_first_not_of("0123456789", first) < at) return text;  // nan, inf
  for (; at > first + 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

/// "98.4%" for .984.
inline std::string percent_text(double share, int decimals = 1) { return fixed_text(100 * share, decimals) + "%"; }

}  // namespace examples
