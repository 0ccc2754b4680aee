/// \file
/// Grouped bars with their values: lying where there is room to read their names, else upright with turned text.
#pragma once

#include "support/svg/canvas.hpp"

namespace examples {

/// One colour of bars: a value for each label, and where wanted a note beside it. A value that is not finite has no bar.
struct Bars {
  std::string name;
  std::vector<double> values;
  std::vector<std::string> notes = {};
};

namespace svg {

/// What the parts of a bar chart share.
struct BarPlan {
  const Axis& axis;
  std::span<const std::string> labels;
  std::span<const Bars> groups;
  Ticks ticks;

  double count() const { return static_cast<double>(std::max<std::size_t>(1, labels.size())); }
  double colours() const { return static_cast<double>(std::max<std::size_t>(1, groups.size())); }
  bool has(std::size_t group, std::size_t label) const {
    return label < groups[group].values.size() && drawable(groups[group].values[label]) &&
           (!axis.log || groups[group].values[label] > 0);
  }
  /// Where bars begin: at zero, or at the end of the axis next to it.
  double base() const { return axis.log ? ticks.low : std::clamp(0.0, ticks.low, ticks.high); }
  std::string value_text(std::size_t group, std::size_t label) const {
    const double value = groups[group].values[label];
    if (axis.percent) return percent_text(value, ticks.high - ticks.low < 0.05 ? 2 : 1);
    if (value == std::floor(value)) return with_minus(grouped_text(value));
    const int digits = static_cast<int>(std::floor(std::log10(std::abs(value))));
    return with_minus(std::abs(value) < 1e-4 ? scientific_text(value) : grouped_text(value, std::max(0, 2 - digits)));
  }
  std::string note(std::size_t group, std::size_t label) const {
    return label < groups[group].notes.size() ? groups[group].notes[label] : "";
  }
};

inline Ticks bar_ticks(const Axis& axis, std::span<const Bars> groups) {
  Range range;
  for (const Bars& bars : groups)
    for (double value : bars.values)
      if (!axis.log || value > 0) range.add(value);
  if (!axis.log && !range.empty()) range.add(0);
  return nice_ticks(axis, range, 6);
}

/// Bars from left to right, values and notes behind them.
inline void lying_bars(Canvas& canvas, const BarPlan& plan) {
  constexpr double largest_name = 190, largest_note = 190;
  const double pitch_guess = (chart_height - 54 - canvas.top() - 10) / plan.count();
  const double size = std::clamp(pitch_guess / plan.colours() - 2, 9.0, 12.0);
  double room = 0;
  for (std::size_t group = 0; group < plan.groups.size(); ++group)
    for (std::size_t label = 0; label < plan.labels.size(); ++label) {
      if (!plan.has(group, label)) continue;
      const double note = std::min(largest_note, text_width(plan.note(group, label), size));
      room = std::max(room, text_width(plan.value_text(group, label), size, true) + (note > 0 ? note + 8 : 0));
    }
  const Box box{margin + std::min(largest_name, widest(plan.labels, size)) + 10, canvas.top() + 10,
                chart_width - margin - std::max(10.0, room + 4), chart_height - 54};
  const Scale scale{plan.ticks.low, plan.ticks.high, plan.axis.log, box.left, box.right};
  draw_x_axis(canvas, box, plan.ticks, scale, true);
  x_label(canvas, box, plan.axis.label);

  const double pitch = box.height() / plan.count(), thickness = std::min(40.0, 0.74 * pitch / plan.colours());
  for (std::size_t label = 0; label < plan.labels.size(); ++label) {
    const double middle = box.top + pitch * (static_cast<double>(label) + 0.5);
    canvas.text(box.left - 8, middle + 0.36 * size, shortened(plan.labels[label], size, largest_name),
                {.size = size, .anchor = "end"});
    for (std::size_t group = 0; group < plan.groups.size(); ++group) {
      if (!plan.has(group, label)) continue;
      const double top = middle + thickness * (static_cast<double>(group) - plan.colours() / 2);
      const double foot = scale(plan.base());
      const double head = std::clamp(scale(plan.groups[group].values[label]), box.left, box.right);
      canvas.rectangle({std::min(foot, head), top, std::max(foot, head), top + thickness - 1}, colour(group).line);
      const std::string value = plan.value_text(group, label);
      const double x = std::max(foot, head) + 6, y = top + thickness / 2 + 0.36 * size - 0.5;
      canvas.text(x, y, value, {.size = size, .bold = true});
      canvas.text(x + text_width(value, size, true) + 8, y, shortened(plan.note(group, label), size, largest_note),
                  {.size = size, .colour = faint_ink});
    }
  }
  canvas.line(scale(plan.base()), box.top, scale(plan.base()), box.bottom);
}

/// The value and note of an upright bar, turned: inside its head, or above a bar that is too short.
inline void upright_text(Canvas& canvas, const BarPlan& plan, std::size_t group, std::size_t label, const Box& bar,
                         double top) {
  const double size = std::min(10.0, bar.width() - 1);
  if (size < 6.5) return;
  const std::string note = plan.note(group, label), value = plan.value_text(group, label);
  const std::string text = note.empty() ? value : value + "  " + note;
  const double x = (bar.left + bar.right) / 2 + 0.35 * size, width = text_width(text, size);
  if (width + 8 <= bar.height())
    canvas.text(x, bar.top + 4, text, {.size = size, .anchor = "end", .colour = "#ffffff", .turned = true});
  else if (width + 8 <= bar.top - top)
    canvas.text(x, bar.top - 4, text, {.size = size, .turned = true});
}

/// Bars from the bottom up, for many labels; of very many names every second, third, ... is written.
inline void upright_bars(Canvas& canvas, const BarPlan& plan) {
  constexpr double largest_name = 100, tick_size = 11;
  Box box{margin + 16 + widest(plan.ticks.text, tick_size) + 8, canvas.top() + 14, chart_width - margin, 0};
  const double pitch = box.width() / plan.count(), size = std::clamp(pitch - 1.5, 8.0, 11.0);
  box.bottom = chart_height - margin - std::min(largest_name, widest(plan.labels, size)) - 2;
  const Scale scale{plan.ticks.low, plan.ticks.high, plan.axis.log, box.bottom, box.top};
  draw_y_axis(canvas, box, plan.ticks, scale, true, false, {.size = tick_size});
  y_label(canvas, box, plan.axis.label, margin + 6);

  const double thickness = 0.84 * pitch / plan.colours();
  const auto stride = static_cast<std::size_t>(std::ceil((size + 1) / pitch));
  for (std::size_t label = 0; label < plan.labels.size(); ++label) {
    const double middle = box.left + pitch * (static_cast<double>(label) + 0.5);
    if (label % stride == 0)
      canvas.text(middle + 0.35 * size, box.bottom + 6, shortened(plan.labels[label], size, largest_name),
                  {.size = size, .anchor = "end", .turned = true});
    for (std::size_t group = 0; group < plan.groups.size(); ++group) {
      if (!plan.has(group, label)) continue;
      const double left = middle + thickness * (static_cast<double>(group) - plan.colours() / 2);
      const double foot = scale(plan.base());
      const double head = std::clamp(scale(plan.groups[group].values[label]), box.top, box.bottom);
      const Box bar{left, std::min(foot, head), left + thickness - (thickness > 4 ? 0.6 : 0), std::max(foot, head)};
      canvas.rectangle(bar, colour(group).line);
      upright_text(canvas, plan, group, label, bar, box.top);
    }
  }
  canvas.line(box.left, scale(plan.base()), box.right, scale(plan.base()));
}

}  // namespace svg

/// Bars for each label, one colour a group, with their values written out. Returns the whole SVG document.
inline std::string bar_chart(std::string_view title, std::string_view subtitle, const Axis& value,
                             std::span<const std::string> labels, std::span<const Bars> groups) {
  using namespace svg;
  Canvas canvas(title, subtitle);
  std::vector<LegendEntry> entries;
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (!groups[i].name.empty()) entries.push_back({groups[i].name, LegendEntry::Sign::box, i, {colour(i).line}});
  if (groups.size() > 1) canvas.legend(entries);
  const BarPlan plan{value, labels, groups, bar_ticks(value, groups)};
  if (labels.empty() || groups.empty())
    no_data(canvas);
  else if (plan.count() * plan.colours() <= 26)
    lying_bars(canvas, plan);
  else
    upright_bars(canvas, plan);
  return std::move(canvas).finished();
}

}  // namespace examples
