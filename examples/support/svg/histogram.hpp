/// \file
/// Histograms over the same bins, one small panel each.
#pragma once

#include "support/svg/canvas.hpp"

namespace examples {

/// The heights of one panel's bins: one fewer than there are edges.
struct Counts {
  std::string name;
  std::vector<double> counts;
};

/// A value that parts the bins into two kinds: it is marked, and bins on its two sides differ in colour.
struct Split {
  double at;
  std::string name, below, above;
};

namespace svg {

/// Panels in rows and columns inside a box.
struct Panels {
  Box area;
  std::size_t count, columns, rows;
  double gap_x, gap_y;

  Box operator[](std::size_t index) const {
    const double width = (area.width() + gap_x) / static_cast<double>(columns);
    const double height = (area.height() + gap_y) / static_cast<double>(rows);
    const double left = area.left + width * static_cast<double>(index % columns);
    const double top = area.top + height * static_cast<double>(index / columns);
    return {left, top, left + width - gap_x, top + height - gap_y};
  }
  bool lowest(std::size_t index) const { return index + columns >= count; }
};

/// As many columns as keep the panels wide rather than high.
inline Panels arranged(std::size_t count, const Box& area) {
  const std::size_t columns = count <= 4    ? 1
                              : count <= 10 ? 2
                              : count <= 18 ? 3
                              : count <= 28 ? 4
                              : count <= 45 ? 5
                                            : 6;
  const std::size_t rows = (count + columns - 1) / columns;
  return {area, count, columns, rows, columns > 3 ? 12.0 : 18.0, rows <= 4 ? 24.0 : rows <= 7 ? 17.0 : 13.0};
}

inline constexpr std::string_view pale = "#9aa5ad";

inline void draw_bins(Canvas& canvas, const Box& box, std::span<const double> edges, std::span<const double> counts,
                      const Scale& x, const Scale& y, const std::optional<Split>& split) {
  std::vector<Box> below, above;
  for (std::size_t i = 0; i + 1 < edges.size() && i < counts.size(); ++i) {
    if (!y.can_show(counts[i]) || counts[i] <= 0 || !x.can_show(edges[i]) || !x.can_show(edges[i + 1])) continue;
    const bool inked = !split || (edges[i] + edges[i + 1]) / 2 > split->at;
    const double left = x(edges[i]), right = x(edges[i + 1]), seam = right - left > 5 ? 0.8 : 0;
    (inked ? above : below).push_back({left, std::min(y(counts[i]), box.bottom), right - seam, box.bottom});
  }
  canvas.begin_clip(box);
  canvas.rectangles(below, pale);
  canvas.rectangles(above, colour(0).line);
  canvas.end_clip();
}

/// The range of the edges, and of the counts that show.
inline std::pair<Range, Range> ranges(std::span<const double> edges, std::span<const Counts> panels, bool log) {
  Range x, y;
  for (double edge : edges) x.add(edge);
  for (const Counts& panel : panels)
    for (double count : panel.counts)
      if (count > 0) y.add(count);
  if (!y.empty() && !log) y.add(0);
  return {x, y};
}

inline constexpr Stroke split_stroke{colour(1).line, 1.5, "4 3"};

inline void split_legend(Canvas& canvas, const Split& split) {
  using Sign = LegendEntry::Sign;
  const std::array<LegendEntry, 3> entries{{{split.below, Sign::box, 0, {pale}},
                                            {split.above, Sign::box, 0, {colour(0).line}},
                                            {split.name, Sign::line, 0, split_stroke}}};
  canvas.legend(entries);
}

/// More panels than these cannot be read.
inline constexpr std::size_t most_panels = 60;

}  // namespace svg

/// One panel for each of `panels`, up to 60, over the bins between `edges` (rising), on the same axes, so that panels
/// compare. Returns the whole SVG document.
inline std::string histogram(std::string_view title, std::string_view subtitle, const Axis& x_axis,
                             const Axis& count_axis, std::span<const double> edges, std::span<const Counts> panels,
                             const std::optional<Split>& split = {}) {
  using namespace svg;
  std::string below_title(subtitle);
  if (panels.size() > most_panels) {
    below_title += (subtitle.empty() ? "the" : "; the") + (" first 60 of " + std::to_string(panels.size()));
    panels = panels.first(most_panels);
  }
  Canvas canvas(title, below_title);
  if (split) split_legend(canvas, *split);
  const auto [x_data, y_data] = ranges(edges, panels, count_axis.log);
  if (panels.empty() || x_data.empty()) {
    no_data(canvas);
    return std::move(canvas).finished();
  }
  const double size = panels.size() <= 10 ? 11 : panels.size() <= 28 ? 10 : 9;
  Panels places =
      arranged(panels.size(), {margin + 24, canvas.top() + 10 + size, chart_width - margin, chart_height - 52});
  Axis exact = x_axis;  // the first and last edge need not be ticks
  exact.low = x_axis.low.value_or(x_data.low), exact.high = x_axis.high.value_or(x_data.high);
  const Ticks x_ticks = nice_ticks(exact, x_data, 5);
  const Ticks y_ticks = nice_ticks(count_axis, y_data, std::clamp(static_cast<int>(places[0].height() / 20), 2, 5));
  places.area.left += widest(y_ticks.text, size) + 2;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const Box box = places[i];
    const Scale x{x_ticks.low, x_ticks.high, x_axis.log, box.left, box.right};
    const Scale y{y_ticks.low, y_ticks.high, count_axis.log, box.bottom, box.top};
    Ticks side = y_ticks;
    if (i % places.columns != 0) side.text.assign(side.text.size(), "");
    draw_y_axis(canvas, box, side, y, true, false, {.size = size});
    draw_bins(canvas, box, edges, panels[i].counts, x, y, split);
    draw_x_axis(canvas, box, places.lowest(i) ? x_ticks : Ticks{}, x, false, size);
    if (split && split->at >= x_ticks.low && split->at <= x_ticks.high)
      canvas.line(x(split->at), box.top, x(split->at), box.bottom, split_stroke);
    canvas.text(box.left, box.top - 4, shortened(panels[i].name, size, box.width(), true),
                {.size = size, .bold = true});
  }
  x_label(canvas, places.area, x_axis.label);
  y_label(canvas, places.area, count_axis.label, margin + 6);
  return std::move(canvas).finished();
}

}  // namespace examples
