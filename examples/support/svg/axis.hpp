/// \file
/// An axis of a chart: its range, its ticks at 1, 2 or 5 times a power of ten, and its scale into pixels.
#pragma once

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "support/svg/number.hpp"

namespace examples {

/// What a chart's axis shows. Without `low` or `high` the data decide. `percent` writes .5 as 50%; `whole` has no ticks
/// between whole numbers. The ends of a `log` axis are above zero.
struct Axis {
  std::string label = {};
  std::optional<double> low = {}, high = {};
  bool percent = false;
  bool log = false;
  bool whole = false;
};

/// The smallest interval that holds every drawable value added to it.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  bool empty() const { return !(low <= high); }
  void add(double value) {
    if (!drawable(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// Where an axis begins and ends, and its ticks in rising order, all inside.
struct Ticks {
  double low = 0, high = 1;
  std::vector<double> at = {};
  std::vector<std::string> text = {};
};

namespace svg {

/// The smallest of 1, 2, 5 times a power of ten that is at least `value` > 0.
inline double nice_step(double value) {
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (double factor : {1.0, 2.0, 5.0})
    if (value <= factor * power * (1 + 1e-9)) return factor * power;
  return 10 * power;
}

/// Decimals that tell multiples of `step` apart.
inline int decimals_of(double step) { return std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9))); }

/// A typographer's minus sign for the hyphen.
inline std::string with_minus(std::string text) { return text.front() == '-' ? "\u2212" + text.substr(1) : text; }

/// "2e7", "1.5e-9".
inline std::string scientific_text(double value) {
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-12));
  return short_text(value / std::pow(10.0, exponent), 3) + "e" + std::to_string(exponent);
}

/// A tick's text: percent, thousands as k, millions as M, very large and very small ones as powers of ten.
inline std::string plain_tick_text(double value, double step, double largest, bool percent) {
  if (percent) return grouped_text(100 * value, decimals_of(100 * step)) + "%";
  if (value == 0) return "0";
  if (largest >= 1e9 || largest < 1e-4) return scientific_text(value);
  const double size = std::abs(value);
  if (size >= 1e6 && largest >= 1e4 && step >= 1e4) return short_text(value / 1e6, 2) + "M";
  if (size >= 1e3 && largest >= 1e4 && step >= 1e1) return short_text(value / 1e3, 2) + "k";
  return grouped_text(value, decimals_of(step));
}
inline std::string tick_text(double value, double step, double largest, bool percent) {
  return with_minus(plain_tick_text(value, step, largest, percent));
}

/// The ends of a linear axis: the axis's own where given, else the data's, never the same twice.
inline Range linear_ends(const Axis& axis, Range data) {
  if (data.empty()) data = {axis.low.value_or(axis.high.value_or(1) - 1), axis.high.value_or(axis.low.value_or(0) + 1)};
  Range ends{axis.low.value_or(data.low), axis.high.value_or(data.high)};
  if (ends.low > ends.high && axis.low && axis.high) std::swap(ends.low, ends.high);
  const double size = std::max(std::abs(ends.low), std::abs(ends.high));
  if (ends.high - ends.low > 1e-9 * size) return ends;
  const double widening = size == 0 ? (axis.percent ? 0.05 : 0.5) : 0.05 * size;
  if (!axis.low || axis.high) ends.low = std::min(ends.low, ends.high) - widening;
  if (!axis.high) ends.high = std::max(ends.high, ends.low) + widening;
  if (ends.high <= ends.low) ends.high = ends.low + widening;
  return ends;
}

inline Ticks linear_ticks(const Axis& axis, const Range& data, int intervals) {
  const Range ends = linear_ends(axis, data);
  const double wanted = (ends.high - ends.low) / intervals,
               step = nice_step(axis.whole ? std::max(1.0, wanted) : wanted);
  Ticks ticks{ends.low, ends.high};
  if (!axis.low) ticks.low = std::floor(ends.low / step + 1e-9) * step;
  if (!axis.high) ticks.high = std::ceil(ends.high / step - 1e-9) * step;
  const double last = std::floor(ticks.high / step + 1e-9);
  for (double index = std::ceil(ticks.low / step - 1e-9); index <= last; ++index) ticks.at.push_back(index * step);
  const double largest = std::max(std::abs(ticks.low), std::abs(ticks.high));
  for (double value : ticks.at) ticks.text.push_back(tick_text(value, step, largest, axis.percent));
  return ticks;
}

/// The largest of 1, 2, 5 times a power of ten that is at most `value` > 0.
inline double nice_step_down(double value) {
  const double above = nice_step(value);
  if (above <= value * (1 + 1e-9)) return above;
  const double power = std::pow(10.0, std::floor(std::log10(above) + 1e-9));
  return above < 1.5 * power ? above / 2 : above < 3 * power ? power : 2 * power;
}

/// The ends of a logarithmic axis: the axis's own where given, else the data's, outwards to 1, 2, 5 times a power of ten.
inline Range log_ends(const Axis& axis, Range data) {
  if (data.empty() || data.low <= 0) {
    const double low = axis.percent ? 0.01 : 1;
    data = {axis.low.value_or(axis.high ? *axis.high / 100 : low), axis.high.value_or(axis.low.value_or(low) * 100)};
  }
  Range ends{axis.low.value_or(nice_step_down(data.low)), axis.high.value_or(nice_step(data.high))};
  if (axis.low && axis.high && ends.low > ends.high) std::swap(ends.low, ends.high);
  if (ends.high / ends.low > 1 + 1e-9) return ends;
  if (!axis.low) ends.low = std::min(ends.low, ends.high) / (axis.high ? 10 : 2);
  if (!axis.high || axis.low) ends.high = ends.low * (axis.low ? 10 : 4);
  return ends;
}

/// Every power of ten or every second, third, ...; with 2 and 5 times each where decades are few.
inline Ticks log_ticks(const Axis& axis, const Range& data, int intervals) {
  const Range ends = log_ends(axis, data);
  Ticks ticks{ends.low, ends.high};
  const double decades = std::log10(ends.high / ends.low);
  const int stride = std::max(1, static_cast<int>(std::ceil((decades - 1) / intervals)));
  const int first = static_cast<int>(std::floor(std::log10(ends.low) / stride + 1e-9)) * stride;
  for (int exponent = first; exponent <= std::log10(ends.high) + 1e-9; exponent += stride)
    for (double factor : {1.0, 2.0, 5.0}) {
      const double power = std::pow(10.0, exponent), value = factor * power;
      if (factor != 1 && 3 * decades > intervals + 3) continue;
      if (value < ends.low * (1 - 1e-9) || value > ends.high * (1 + 1e-9)) continue;
      ticks.at.push_back(value);
      ticks.text.push_back(tick_text(value, power, value >= 1e3 ? std::max(value, 1e4) : value, axis.percent));
    }
  if (ticks.at.size() >= 2 || decades >= 1) return ticks;
  Axis narrow = axis;
  narrow.low = ends.low, narrow.high = ends.high;
  return linear_ticks(narrow, ends, intervals);
}

}  // namespace svg

/// The ends and ticks of an axis over these data, about `intervals` ticks apart; ends that the axis leaves open fall on ticks.
inline Ticks nice_ticks(const Axis& axis, const Range& data, int intervals = 6) {
  return axis.log ? svg::log_ticks(axis, data, intervals) : svg::linear_ticks(axis, data, intervals);
}

/// From values in [low, high] to pixels in [from, to].
struct Scale {
  double low, high;
  bool log;
  double from, to;

  bool can_show(double value) const { return drawable(value) && (!log || value > 0); }
  double operator()(double value) const {
    const double share = log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return from + std::clamp(share, -100.0, 100.0) * (to - from);
  }
};

}  // namespace examples
