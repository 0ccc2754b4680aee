#include "support/figures.hpp"

#include <doctest/doctest.h>

#include "examples/xml_checker.hpp"

using namespace examples;
using test_support::occurrences;
using test_support::XmlChecker;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

bool says(const std::string& figure, std::string_view text) { return figure.find(text) != figure.npos; }

}  // namespace

TEST_CASE("the search figure shows both shares and the accuracy") {
  std::vector<EpochRow> rows;
  for (int i = 1; i <= 40; ++i) rows.push_back({double(i), 0.02 * i, 0.95 + 0.0005 * i});
  rows[5].accuracy = not_a_number;
  const std::string figure = search_figure(rows, "a subtitle");
  CHECK(XmlChecker::fault(figure) == "");
  for (const char* text :
       {">pruned gates<", ">retained gates<", ">validation accuracy (right axis)<", ">epoch<", ">a subtitle<"})
    CHECK(says(figure, text));
  CHECK(occurrences(figure, "<polyline") == 3);
  CHECK(figure == search_figure(rows, "a subtitle"));
}

TEST_CASE("the search figure of a search that has hardly begun") {
  CHECK(says(search_figure({}), "no data"));
  const std::vector<EpochRow> one{{1, 0.1, 0.9}}, unmeasured{{1, 0.1, not_a_number}, {2, 0.2, not_a_number}};
  CHECK(XmlChecker::fault(search_figure(one)) == "");
  CHECK(occurrences(search_figure(unmeasured), "<polyline") == 2);
}

TEST_CASE("the accuracy axis has five steps and holds the accuracies") {
  for (const double low : {0.0, 0.1, 0.5, 0.87, 0.93, 0.972, 0.999, 1.0})
    for (const double high : {0.3, 0.9, 0.982, 0.999, 1.0}) {
      if (high < low) continue;
      const std::vector<EpochRow> rows{{1, 0, low}, {2, 0, high}};
      const Axis axis = accuracy_axis(rows);
      CAPTURE(low);
      CAPTURE(high);
      CHECK(*axis.low <= low + 1e-9);
      CHECK(*axis.high >= high - 1e-9);
      CHECK(*axis.high <= 1 + 1e-9);
      CHECK(nice_ticks(axis, {}, 5).at.size() == 6);
    }
  std::vector<EpochRow> rows(60, {1, 0, 0.97});
  rows[0].accuracy = 0.1;
  CHECK(*accuracy_axis(rows).low >= 0.9);
}

TEST_CASE("the layer figure names every layer with what it keeps") {
  const std::vector<LayerRow> rows{{"fc1", 0.99, 2352, 235200}, {"fc2", 0.95, 1500, 30000}, {"fc3", 0.6, 400, 1000}};
  const std::string figure = layer_figure(rows);
  CHECK(XmlChecker::fault(figure) == "");
  for (const char* text :
       {">fc1<", ">99.0%<", ">2,352 kept of 235,200<", "keeps 4,252 of 266,200 weights: 98.40% pruned"})
    CHECK(says(figure, text));
  std::vector<LayerRow> many;
  for (int i = 0; i < 54; ++i) many.push_back({"layer" + std::to_string(i), 0.9, 100 + i, 1000});
  const std::string large = layer_figure(many);
  CHECK(XmlChecker::fault(large) == "");
  for (int i = 0; i < 54; ++i) {
    CHECK(says(large, ">layer" + std::to_string(i) + "<"));
    CHECK(says(large, ">90.0%  " + std::to_string(100 + i) + " kept<"));
  }
  CHECK(says(layer_figure({}), "no data"));
}

TEST_CASE("bins hold every value once") {
  const std::vector<double> edges = bin_edges();
  CHECK(edges.size() == 61);
  CHECK(edges[40] == 0.5);
  const std::vector<float> values{-5, -1, -0.999f, 0.4999f, 0.5f, 1.25f, 9, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<double> counts = bin_counts(values, edges);
  CHECK(counts.size() == 60);
  CHECK(counts.front() == 3);
  CHECK(counts[39] == 1);
  CHECK(counts[40] == 1);
  CHECK(counts.back() == 2);
  CHECK(bin_counts(values, {}).empty());
}

TEST_CASE("the histogram figure marks the threshold and counts what lies above") {
  const std::vector<double> edges = bin_edges(-1, 1.25, 9);
  const std::vector<GateHistogram> layers{{"fc1", {1000, 200, 30, 0, 2, 0, 7, 9, 4}}, {"fc2", std::vector<double>(9)}};
  const std::string figure = histogram_figure(edges, layers, "sub");
  CHECK(XmlChecker::fault(figure) == "");
  for (const char* text : {">threshold 1/2<", ">fc1: 20 of 1,252 above the threshold<", ">fc2: 0 of 0 above", ">kept<"})
    CHECK(says(figure, text));
  CHECK(says(histogram_figure(edges, layers, "", 0.25), ">threshold 0.25<"));
  CHECK(says(histogram_figure(edges, {}), "no data"));
}

TEST_CASE("the sweep figure compares with the paper where wanted") {
  const std::vector<SweepPoint> points{{1, 0.98, 0.001}, {0.1, 0.96, 0.002}, {0.01, 0.7, 0.03}};
  const std::string both = sweep_figure(points), alone = sweep_figure(points, false);
  CHECK(XmlChecker::fault(both) == "");
  CHECK(says(both, ">paper<"));
  CHECK_FALSE(says(alone, ">paper<"));
  CHECK(says(both, ">100%<"));
  CHECK(occurrences(alone, "<circle") == 3);
  CHECK(says(sweep_figure({}, false), "no data"));
}
