/// \file
/// Text inside an SVG: escaping, and how wide it will be.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace examples::svg {

/// One code point of UTF-8 text and the bytes it takes; `valid` is false for bytes that XML 1.0 does not allow.
struct CodePoint {
  std::uint32_t value;
  std::size_t bytes;
  bool valid;
};

/// The code point at the front of `text`, which is not empty.
inline CodePoint front_code_point(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, lead >= 0x20 || lead == '\t' || lead == '\n' || lead == '\r'};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {0, 1, false};
  std::uint32_t value = lead & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return {0, 1, false};
    value = value << 6 | (byte & 0x3fu);
  }
  constexpr std::array<std::uint32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value < 0xe000;
  const bool valid = value >= smallest[bytes] && value <= 0x10ffff && !surrogate && value != 0xfffe && value != 0xffff;
  return {value, valid ? bytes : 1, valid};
}

/// The text as XML content or attribute value; bytes that XML does not allow become '?', white space a blank.
inline std::string escaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = front_code_point(text.substr(at));
    if (!point.valid)
      out += '?';
    else if (point.value == '&')
      out += "&amp;";
    else if (point.value == '<')
      out += "&lt;";
    else if (point.value == '>')
      out += "&gt;";
    else if (point.value == '"')
      out += "&quot;";
    else if (point.value == '\'')
      out += "&#39;";
    else if (point.value < 0x20)
      out += ' ';
    else
      out += text.substr(at, point.bytes);
    at += point.bytes;
  }
  return out;
}

/// The width in pixels of the text in Helvetica or Arial, which share their metrics; other scripts are estimated.
inline double text_width(std::string_view text, double size, bool bold = false) {
  static constexpr std::array<short, 95> widths{
      // thousandths of the font size, from blank to ~
      278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333,  278, 278, 556, 556, 556,
      556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
      611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667,  611, 722, 667, 944, 667,
      667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278,  556, 556, 222, 222, 500,
      222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500,  500, 334, 260, 334, 584};
  double thousandths = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = front_code_point(text.substr(at));
    const bool ascii = point.value >= 32 && point.value < 127;
    thousandths += ascii ? widths[point.value - 32] : point.value >= 0x1100 && point.value != 0x2026 ? 1000 : 600;
    at += point.bytes;
  }
  return thousandths / 1000 * size * (bold ? 1.08 : 1);
}

/// The text, or as much of its front as fits with an ellipsis.
inline std::string shortened(std::string_view text, double size, double width, bool bold = false) {
  if (text_width(text, size, bold) <= width) return std::string(text);
  std::size_t end = 0;
  while (end < text.size()) {
    const std::size_t next = end + front_code_point(text.substr(end)).bytes;
    if (text_width(text.substr(0, next), size, bold) + 0.6 * size > width) break;
    end = next;
  }
  while (end > 0 && text[end - 1] == ' ') --end;
  return std::string(text.substr(0, end)) + "\u2026";
}

}  // namespace examples::svg
