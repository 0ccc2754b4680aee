/// \file
/// The figures of a search, from plain numbers: how it went, its layers, its gates, and the sweep of base sizes.
#pragma once

#include "support/svg.hpp"

namespace examples {

/// After an epoch: the share of gates that are pruned, and the validation accuracy; NaN where it was not measured.
struct EpochRow {
  double epoch, pruned, accuracy;
};

/// A layer of the ticket: the share of its weights that are pruned, and how many are kept.
struct LayerRow {
  std::string name;
  double sparsity;
  long kept, total;
};

/// A layer's gate means: how many fall into each bin.
struct GateHistogram {
  std::string name;
  std::vector<double> counts;
};

/// A base network of this share of the full one's weights: the tickets' mean accuracy, and its spread over seeds.
struct SweepPoint {
  double share, accuracy, spread = 0;
};

/// An accuracy axis in exactly five steps of 1, 2 or 5 times a power of ten, so that its ticks meet the grid lines of
/// an axis from 0 to 100%. The first twentieth of the rows may start below it.
inline Axis accuracy_axis(std::span<const EpochRow> rows) {
  Range range;
  for (std::size_t i = rows.size() / 20; i < rows.size(); ++i) range.add(rows[i].accuracy);
  if (range.empty()) return {"validation accuracy", 0, 1, true};
  const double low = std::clamp(range.low, 0.0, 1.0), high = std::clamp(range.high, low, 1.0);
  for (double step = svg::nice_step(std::max(high - low, 0.01) / 5);; step = svg::nice_step(1.5 * step)) {
    const double steps = std::min(std::floor(low / step + 1e-9), std::round(1 / step) - 5);
    if (step >= 0.2 || high <= (steps + 5) * step + 1e-9)
      return step >= 0.2 ? Axis{"validation accuracy", 0, 1, true}
                         : Axis{"validation accuracy", steps * step, (steps + 5) * step, true};
  }
}

/// The paper's figure 1: pruned and retained share of the gates, and validation accuracy, over the epochs.
inline std::string search_figure(std::span<const EpochRow> rows, std::string_view subtitle = "",
                                 std::string_view title = "Search for a strong lottery ticket") {
  Series pruned{"pruned gates", {}, {}}, retained{"retained gates", {}, {}};
  Series accuracy{"validation accuracy (right axis)", {}, {}, true};
  Range epochs;
  for (const EpochRow& row : rows) {
    epochs.add(row.epoch);
    for (Series* series : {&pruned, &accuracy, &retained}) series->x.push_back(row.epoch);
    pruned.y.push_back(row.pruned);
    retained.y.push_back(1 - row.pruned);
    accuracy.y.push_back(row.accuracy);
  }
  Axis x{.label = "epoch", .whole = true};
  if (!epochs.empty()) x.low = epochs.low < epochs.high ? epochs.low : epochs.low - 1, x.high = epochs.high;
  const std::array series{pruned, accuracy, retained};
  return line_chart(title, subtitle, x, {"share of the gates", 0, 1, true}, accuracy_axis(rows), series);
}

/// The paper's figure 2: the pruned share of each layer, with the number of weights that it keeps.
inline std::string layer_figure(std::span<const LayerRow> rows, std::string_view subtitle = "",
                                std::string_view title = "Sparsity of each layer") {
  std::vector<std::string> names;
  Bars bars{"sparsity", {}};
  double kept = 0, total = 0;
  for (const LayerRow& row : rows) {
    names.push_back(row.name);
    bars.values.push_back(row.sparsity);
    std::string note = grouped_text(static_cast<double>(row.kept)) + " kept";
    if (rows.size() <= 12) note += " of " + grouped_text(static_cast<double>(row.total));
    bars.notes.push_back(std::move(note));
    kept += static_cast<double>(row.kept);
    total += static_cast<double>(row.total);
  }
  std::string whole = "The whole ticket keeps " + grouped_text(kept) + " of " + grouped_text(total) + " weights";
  if (total > 0) whole += ": " + percent_text(1 - kept / total, 2) + " pruned";
  const std::array groups{bars};
  return bar_chart(title, subtitle.empty() ? std::string_view(whole) : subtitle, {"pruned weights", 0, 1, true}, names,
                   groups);
}

/// The edges of `bins` equal bins from `low` to `high`.
inline std::vector<double> bin_edges(double low = -1, double high = 1.25, int bins = 60) {
  std::vector<double> edges;
  for (int i = 0; i <= bins; ++i) edges.push_back(low + (high - low) * i / bins);
  return edges;
}

/// How many of the values fall into each bin; values beyond the ends count in the first and last bin, NaN nowhere.
template <class Values>
std::vector<double> bin_counts(const Values& values, std::span<const double> edges) {
  std::vector<double> counts(edges.size() < 2 ? 0 : edges.size() - 1);
  if (counts.empty()) return counts;
  for (const auto value : values) {
    if (std::isnan(static_cast<double>(value))) continue;
    const auto above = std::upper_bound(edges.begin() + 1, edges.end() - 1, static_cast<double>(value));
    ++counts[static_cast<std::size_t>(above - edges.begin() - 1)];
  }
  return counts;
}

/// The gate means of each layer over `edges`, on a logarithmic count axis, with the threshold that decides them.
inline std::string histogram_figure(std::span<const double> edges, std::span<const GateHistogram> layers,
                                    std::string_view subtitle = "", double threshold = 0.5,
                                    std::string_view title = "Gate means of each layer",
                                    std::string_view label = "gate mean \u03bc") {
  std::vector<Counts> panels;
  for (const GateHistogram& layer : layers) {
    double kept = 0, total = 0;
    for (std::size_t i = 0; i < layer.counts.size() && i + 1 < edges.size(); ++i) {
      total += layer.counts[i];
      if ((edges[i] + edges[i + 1]) / 2 > threshold) kept += layer.counts[i];
    }
    std::string name = layer.name;
    if (layers.size() <= 10) name += ": " + grouped_text(kept) + " of " + grouped_text(total) + " above the threshold";
    panels.push_back({std::move(name), layer.counts});
  }
  const std::string text = "threshold " + (threshold == 0.5 ? std::string("1/2") : short_text(threshold, 3));
  const Split split{threshold, text, "pruned", "kept"};
  return histogram(title, subtitle, {std::string(label)}, {"gates", 0.5, {}, false, true}, edges, panels, split);
}

/// The paper's figure 3: accuracy over the size of the base network, with the paper's own points where `with_paper`.
inline std::string sweep_figure(std::span<const SweepPoint> tickets, bool with_paper = true,
                                std::string_view subtitle = "",
                                std::string_view title = "Accuracy over the size of the base network") {
  Series ours{"ticket", {}, {}, false, true};
  for (const SweepPoint& point : tickets) {
    ours.x.push_back(point.share);
    ours.y.push_back(point.accuracy);
    ours.spread.push_back(point.spread);
  }
  std::vector<Series> series{ours};
  if (with_paper) {
    const Series paper{
        "paper", {1, .44, .31, .18, .10, .055, .007}, {.96, .953, .942, .934, .918, .90, .56}, false, true};
    series.push_back(paper);
  }
  Range shares;
  for (const Series& one : series)
    for (double share : one.x) shares.add(share);
  Axis x{.label = "size of the base network, share of the full one's weights", .percent = true, .log = true};
  if (shares.high <= 1) x.high = 1;
  return line_chart(title, subtitle, x, {.label = "test accuracy", .percent = true}, {}, series);
}

}  // namespace examples
