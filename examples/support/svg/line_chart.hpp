/// \file
/// Lines and points over one horizontal and one or two vertical axes.
#pragma once

#include "support/svg/canvas.hpp"

namespace examples {

/// One line of a chart; points that are not finite are skipped. `spread` draws y - spread to y + spread.
struct Series {
  std::string name;
  std::vector<double> x, y;
  bool right_axis = false;
  bool points = false;              ///< mark every point
  std::vector<double> spread = {};  ///< empty, or one for each point
  bool line = true;                 ///< join the points
};

namespace svg {

/// How far up and down a point's error bar reaches.
inline double spread_of(const Series& series, std::size_t i) {
  return i < series.spread.size() && drawable(series.spread[i]) ? std::abs(series.spread[i]) : 0;
}

/// The points of a series that both scales can show, in pixels, with the ends of their error bars.
struct Trace {
  std::vector<std::pair<double, double>> points;
  std::vector<std::pair<double, double>> bars;  ///< upper and lower end in pixels; both y where there is no spread
};

inline Trace trace(const Series& series, const Scale& x, const Scale& y) {
  Trace out;
  for (std::size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
    if (!x.can_show(series.x[i]) || !y.can_show(series.y[i])) continue;
    const double spread = spread_of(series, i);
    const double below = y.can_show(series.y[i] - spread) ? series.y[i] - spread : y.low;
    out.points.emplace_back(x(series.x[i]), y(series.y[i]));
    out.bars.emplace_back(y(series.y[i] + spread), y(below));
  }
  return out;
}

/// Whether axes with these scales, linear or not, have a place for the point.
inline bool shows(const Series& series, std::size_t i, const Axis& x, const Axis& y) {
  return drawable(series.x[i]) && drawable(series.y[i]) && (!x.log || series.x[i] > 0) && (!y.log || series.y[i] > 0);
}

/// What the axes must hold; `y[1]` belongs to the right side.
struct Extent {
  Range x, y[2];
};
inline Extent extent(std::span<const Series> all, const Axis& x, const Axis& left, const std::optional<Axis>& right) {
  Extent out;
  for (const Series& series : all) {
    const bool to_right = series.right_axis && right;
    const Axis& y = to_right ? *right : left;
    for (std::size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
      if (!shows(series, i, x, y)) continue;
      out.x.add(series.x[i]);
      const double spread = spread_of(series, i);
      for (double value : {series.y[i] - spread, series.y[i], series.y[i] + spread})
        if (!y.log || value > 0) out.y[to_right].add(value);
    }
  }
  return out;
}

inline Stroke stroke_of(const Series& series, std::size_t index) {
  return {colour(index).line, 2, series.right_axis ? "7 4" : index >= palette.size() ? "2 3" : ""};
}

/// Heights for the names at the ends of the lines, at least 15 pixels apart; nothing where a name would stand
/// far from its line, beside a line that ends early, or take too much room: then a legend serves better.
inline std::optional<std::vector<double>> end_labels(std::span<const Series> all, std::span<const Trace> traces,
                                                     const Box& box) {
  std::vector<std::pair<double, std::size_t>> ends;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].right_axis || all[i].name.empty() || text_width(all[i].name, 12) > 150) return {};
    if (traces[i].points.empty()) return {};
    const auto last = *std::max_element(traces[i].points.begin(), traces[i].points.end());
    if (last.first < box.right - 0.03 * box.width() || last.second < box.top || last.second > box.bottom) return {};
    ends.emplace_back(last.second, i);
  }
  if (ends.size() > 6) return {};
  std::sort(ends.begin(), ends.end());
  std::vector<double> heights(all.size());
  double above = box.top - 12;
  for (auto& [y, i] : ends) heights[i] = above = std::max(y, above + 15);
  double below = box.bottom + 15;
  for (auto end = ends.rbegin(); end != ends.rend(); ++end)
    heights[end->second] = below = std::min(heights[end->second], below - 15);
  for (const auto& [y, i] : ends)
    if (std::abs(heights[i] - y) > 16) return {};
  return heights;
}

inline void draw_series(Canvas& canvas, const Series& series, const Trace& trace, std::size_t index, const Box& box) {
  const Stroke stroke = stroke_of(series, index);
  canvas.begin_clip({box.left - 2, box.top - 2, box.right + 2, box.bottom + 2});
  for (std::size_t i = 0; i < trace.points.size(); ++i) {
    const auto [top, bottom] = trace.bars[i];
    const double x = trace.points[i].first;
    if (bottom - top < 0.05) continue;
    for (double y : {top, bottom}) canvas.line(x - 4, y, x + 4, y, {stroke.colour, 1.3});
    canvas.line(x, top, x, bottom, {stroke.colour, 1.3});
  }
  if (series.line && trace.points.size() > 1) canvas.polyline(trace.points, stroke);
  canvas.end_clip();
  if (!series.points && series.line && trace.points.size() != 1) return;
  for (const auto& [x, y] : trace.points)
    if (x >= box.left - 1 && x <= box.right + 1 && y >= box.top - 1 && y <= box.bottom + 1) canvas.marker(x, y, index);
}

inline std::vector<LegendEntry> legend_of(std::span<const Series> all) {
  std::vector<LegendEntry> entries;
  for (std::size_t i = 0; i < all.size(); ++i) {
    using Sign = LegendEntry::Sign;
    const Sign sign = !all[i].line ? Sign::marker : all[i].points ? Sign::marked_line : Sign::line;
    if (!all[i].name.empty()) entries.push_back({all[i].name, sign, i, stroke_of(all[i], i)});
  }
  return entries;
}

/// The colour of the right axis: that of its series where there is one only.
inline std::string_view right_colour(std::span<const Series> all) {
  std::string_view found = ink;
  int count = 0;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].right_axis) found = colour(i).text, ++count;
  return count == 1 ? found : ink;
}

/// The axes of a line chart and the area they enclose.
struct LinePlan {
  const Axis& x_axis;
  const Axis& left_axis;
  const std::optional<Axis>& right_axis;
  Ticks x_ticks, left_ticks, right_ticks;
  Box box = {};

  Scale x() const { return {x_ticks.low, x_ticks.high, x_axis.log, box.left, box.right}; }
  Scale y(bool right) const {
    if (!right || !right_axis) return {left_ticks.low, left_ticks.high, left_axis.log, box.bottom, box.top};
    return {right_ticks.low, right_ticks.high, right_axis->log, box.bottom, box.top};
  }
  std::vector<Trace> traces(std::span<const Series> all) const {
    std::vector<Trace> out;
    for (const Series& series : all) out.push_back(trace(series, x(), y(series.right_axis)));
    return out;
  }
};

inline LinePlan line_plan(const Axis& x, const Axis& left, const std::optional<Axis>& right,
                          std::span<const Series> all, double top) {
  const Extent data = extent(all, x, left, right);
  LinePlan plan{x,
                left,
                right,
                nice_ticks(x, data.x, 8),
                nice_ticks(left, data.y[0], 5),
                right ? nice_ticks(*right, data.y[1], 5) : Ticks{}};
  plan.box = {margin + 24 + widest(plan.left_ticks.text, 12), top, chart_width - margin - 12, chart_height - 54};
  if (right) plan.box.right = chart_width - margin - 24 - widest(plan.right_ticks.text, 12);
  return plan;
}

inline void draw_axes(Canvas& canvas, const LinePlan& plan, std::span<const Series> all) {
  draw_y_axis(canvas, plan.box, plan.left_ticks, plan.y(false), true);
  draw_x_axis(canvas, plan.box, plan.x_ticks, plan.x(), false);
  x_label(canvas, plan.box, plan.x_axis.label);
  y_label(canvas, plan.box, plan.left_axis.label, margin + 6);
  if (!plan.right_axis) return;
  const std::string_view tone = right_colour(all);
  draw_y_axis(canvas, plan.box, plan.right_ticks, plan.y(true), false, true, {.colour = tone});
  y_label(canvas, plan.box, plan.right_axis->label, chart_width - margin + 2, tone);
}

}  // namespace svg

/// The series as lines over x; those with `right_axis` belong to `right`, dashed. Names stand at the ends of the lines
/// where they fit, else in a row under the title. Returns the whole SVG document.
inline std::string line_chart(std::string_view title, std::string_view subtitle, const Axis& x, const Axis& left,
                              const std::optional<Axis>& right, std::span<const Series> series) {
  using namespace svg;
  Canvas canvas(title, subtitle);
  LinePlan plan = line_plan(x, left, right, series, canvas.top() + 16);
  const auto labels = end_labels(series, plan.traces(series), plan.box);
  if (labels)
    for (const Series& one : series)
      plan.box.right = std::min(plan.box.right, chart_width - margin - 10 - text_width(one.name, 12, true));
  else
    canvas.legend(legend_of(series));
  plan.box.top = canvas.top() + 16;

  draw_axes(canvas, plan, series);
  const std::vector<Trace> traces = plan.traces(series);
  bool empty = true;
  for (std::size_t i = 0; i < series.size(); ++i) {
    draw_series(canvas, series[i], traces[i], i, plan.box);
    if (labels)
      canvas.text(plan.box.right + 10, (*labels)[i] + 4, series[i].name, {.colour = colour(i).text, .bold = true});
    empty = empty && traces[i].points.empty();
  }
  if (empty) no_data(canvas, plan.box);
  return std::move(canvas).finished();
}

}  // namespace examples
