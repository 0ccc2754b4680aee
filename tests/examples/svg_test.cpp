#include "support/svg.hpp"

#include <doctest/doctest.h>

#include <clocale>
#include <cmath>

#include "examples/xml_checker.hpp"

using namespace examples;
using test_support::occurrences;
using test_support::XmlChecker;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

using Texts = std::vector<std::string>;

Ticks ticks(const Axis& axis, double low, double high, int intervals = 6) {
  return nice_ticks(axis, {low, high}, intervals);
}

std::string chart(const std::vector<Series>& series, const Axis& x = {}, const Axis& y = {}) {
  return line_chart("title", "subtitle", x, y, {}, series);
}

}  // namespace

TEST_CASE("numbers read the same in every locale") {
  CHECK(fixed_text(12.5, 2) == "12.50");
  CHECK(fixed_text(-0.001, 2) == "0.00");
  CHECK(fixed_text(1e308, 1).size() == 311);
  CHECK(fixed_text(not_a_number, 1) == "nan");
  CHECK(short_text(12.5, 3) == "12.5");
  CHECK(short_text(100, 3) == "100");
  CHECK(short_text(-0.0001, 2) == "0");
  CHECK(grouped_text(266200) == "266,200");
  CHECK(grouped_text(-1234567.25, 1) == "-1,234,567.2");
  CHECK(grouped_text(999) == "999");
  CHECK(grouped_text(inf) == "inf");
  CHECK(percent_text(0.98437) == "98.4%");
  CHECK(percent_text(0.98437, 2) == "98.44%");
}

TEST_CASE("linear ticks stand at 1, 2 or 5 times a power of ten") {
  CHECK(ticks({}, 0, 10).text == Texts{"0", "2", "4", "6", "8", "10"});
  CHECK(ticks({}, 0.013, 0.052, 5).text == Texts{"0.01", "0.02", "0.03", "0.04", "0.05", "0.06"});
  CHECK(ticks({}, -3, 3).text == Texts{"\u22123", "\u22122", "\u22121", "0", "1", "2", "3"});
  CHECK(ticks({}, 0, 60000).text == Texts{"0", "10k", "20k", "30k", "40k", "50k", "60k"});
  CHECK(ticks({}, 0, 3e6, 3).text == Texts{"0", "1M", "2M", "3M"});
  CHECK(ticks({}, 0, 2e10, 2).text == Texts{"0", "1e10", "2e10"});
  CHECK(ticks({}, 0, 3e-6, 3).text == Texts{"0", "1e-6", "2e-6", "3e-6"});
  CHECK(ticks({.percent = true}, 0.9, 1, 5).text == Texts{"90%", "92%", "94%", "96%", "98%", "100%"});
  CHECK(ticks({.percent = true}, 0.981, 0.984, 3).text == Texts{"98.1%", "98.2%", "98.3%", "98.4%"});
  CHECK(ticks({.whole = true}, 1, 3).text == Texts{"1", "2", "3"});
}

TEST_CASE("the axis's own ends win over the data") {
  const Ticks fixed = ticks({.low = 0.3, .high = 5.5}, -100, 100);
  CHECK(fixed.low == 0.3);
  CHECK(fixed.high == 5.5);
  CHECK(fixed.text == Texts{"1", "2", "3", "4", "5"});
  CHECK(ticks({.low = 1, .high = 0}, 0, 0).low == 0);
}

TEST_CASE("an axis never has zero length") {
  for (const bool log : {false, true})
    for (const double low : {-1e300, -5.0, 0.0, 1e-300, 0.5, 1.0, 1e300})
      for (const std::optional<double> end : {std::optional<double>(), {1.0}, {7.0}})
        for (const bool at_low : {false, true}) {
          Axis axis{.log = log};
          (at_low ? axis.low : axis.high) = end;
          for (const double high : {low, low + 1e-13, low + 2}) {
            const Ticks found = ticks(axis, low, high);
            CAPTURE(low);
            CAPTURE(high);
            CAPTURE(log);
            CHECK(found.low < found.high);
            CHECK(found.at.size() == found.text.size());
            CHECK(found.at.size() < 20);
            if (end) CHECK((at_low ? found.low : found.high) == *end);
          }
        }
  const Ticks nothing = nice_ticks({}, {});
  CHECK(nothing.low == 0);
  CHECK(nothing.high == 1);
}

TEST_CASE("logarithmic ticks") {
  CHECK(ticks({.percent = true, .log = true}, 0.007, 1, 8).text ==
        Texts{"0.5%", "1%", "2%", "5%", "10%", "20%", "50%", "100%"});
  CHECK(ticks({.log = true}, 1, 12345, 5).text == Texts{"1", "10", "100", "1k", "10k"});
  CHECK(ticks({.log = true}, 1e-6, 1e6, 5).text == Texts{"1e-6", "0.001", "1", "1k", "1M"});
  CHECK(ticks({.log = true}, 1.2, 1.4).at.size() >= 2);
  const Scale scale{1, 100, true, 0, 10};
  CHECK(scale(10) == doctest::Approx(5));
  CHECK_FALSE(scale.can_show(0));
  CHECK_FALSE(scale.can_show(not_a_number));
}

TEST_CASE("text is escaped") {
  CHECK(svg::escaped("a < b & \"c\" > 'd'") == "a &lt; b &amp; &quot;c&quot; &gt; &#39;d&#39;");
  CHECK(svg::escaped("\u03bc \u2264 1/2 \U0001F39F") == "\u03bc \u2264 1/2 \U0001F39F");
  CHECK(svg::escaped(std::string("a\0b\x1b\tc\n", 7)) == "a?b? c ");
  CHECK(svg::escaped("\xff\xc0\x80\xed\xa0\x80\xe2\x82") == "????????");
}

TEST_CASE("text is measured and shortened") {
  CHECK(svg::text_width("AAA", 10) == doctest::Approx(20.01));
  CHECK(svg::text_width("\u03bc", 10) == doctest::Approx(6));
  CHECK(svg::shortened("short", 12, 100) == "short");
  const std::string cut = svg::shortened("a name that is far too long \u03bc\u03bc\u03bc", 12, 60);
  CHECK(cut.ends_with("\u2026"));
  CHECK(svg::text_width(cut, 12) <= 60);
  CHECK(svg::shortened("x", 12, 1) == "\u2026");
}

TEST_CASE("charts are well-formed, accessible and say what they show") {
  const std::vector<Series> series{{"one <1>", {0, 1, 2}, {0.1, 0.5, 0.4}, false, true, {0.1, 0, 0.1}},
                                   {"two", {0, 1, 2}, {10, 20, 15}, true}};
  const std::string lines = line_chart("A & B", "sub \"title\"", {"x"}, {"left", 0, 1, true}, Axis{"right"}, series);
  CHECK(XmlChecker::fault(lines) == "");
  for (const char* part : {"role=\"img\"", "<title>A &amp; B</title>", "viewBox=\"0 0 720 440\"", "one &lt;1&gt;",
                           ">right<", "font-family=\"Helvetica, Arial, sans-serif\"", "stroke-dasharray=\"7 4\""})
    CHECK(lines.find(part) != lines.npos);

  const Texts labels{"a", "b & c"};
  const std::vector<Bars> groups{{"first", {0.25, 1}, {"note", "<note>"}}, {"second", {not_a_number, 0.5}}};
  const std::string bars = bar_chart("bars", "", {"value", 0, 1, true}, labels, groups);
  CHECK(XmlChecker::fault(bars) == "");
  CHECK(bars.find("&lt;note&gt;") != bars.npos);
  CHECK(occurrences(bars, ">25.0%<") == 1);
  CHECK(occurrences(bars, "<rect") == 1 + 2 + 3);  // background, legend, bars

  const std::vector<double> edges{0, 1, 2, 3};
  const std::vector<Counts> panels{{"p", {5, 0, 2}}, {"q", {1, not_a_number, inf}}};
  const std::string bins = histogram("bins", "", {"x"}, {"count"}, edges, panels, Split{1.5, "split", "low", "high"});
  CHECK(XmlChecker::fault(bins) == "");
  CHECK(occurrences(bins, ">split<") == 1);
}

TEST_CASE("the same data give the same bytes, whatever the locale") {
  const std::vector<Series> series{{"s", {0, 0.5, 1}, {0.25, 1234.5, 2e6}}};
  const std::string once = chart(series);
  for (const char* name : {"de_DE.UTF-8", "C.UTF-8"}) {
    std::setlocale(LC_ALL, name);
    CHECK(chart(series) == once);
  }
  std::setlocale(LC_ALL, "C");
}

TEST_CASE("values that are not finite are skipped") {
  const std::string clean = chart({{"s", {1, 3, 4}, {2, 4, 1}}});
  CHECK(chart({{"s", {1, 2, 3, not_a_number, inf, 4}, {2, not_a_number, 4, 5, 6, 1}}}) == clean);
  for (const char* bad : {"nan", "inf"}) CHECK(clean.find(bad) == clean.npos);
  const std::string log = chart({{"s", {0, 1, 2, 3}, {1, 0, -5, 10}}}, {.log = true}, {.log = true});
  CHECK(XmlChecker::fault(log) == "");
  CHECK(log.find("nan") == log.npos);
}

TEST_CASE("few and no data") {
  CHECK(chart({}).find("no data") != std::string::npos);
  CHECK(chart({{"empty", {}, {}}, {"nan", {1}, {not_a_number}}}).find("no data") != std::string::npos);
  CHECK(XmlChecker::fault(chart({{"empty", {}, {}}})) == "");
  const std::string point = chart({{"one point", {3}, {4}}});
  CHECK(occurrences(point, "<circle") == 1);
  CHECK(occurrences(chart({{"unequal", {1, 2, 3}, {1, 2}, false, true}}), "<circle") == 2);
  CHECK(bar_chart("b", "", {}, {}, {}).find("no data") != std::string::npos);
  CHECK(histogram("h", "", {}, {}, {}, {}).find("no data") != std::string::npos);
  const std::vector<Counts> empty{{"p", {}}};
  const std::vector<double> edges{0, 1};
  CHECK(XmlChecker::fault(histogram("h", "", {}, {.log = true}, edges, empty)) == "");
}

TEST_CASE("names stand at the ends of lines that are apart, else in a legend") {
  const std::vector<Series> apart{{"up", {0, 1}, {0, 1}}, {"down", {0, 1}, {1, 0}}};
  CHECK(chart(apart).find("font-weight=\"bold\" fill=\"#005a8c\">up<") != std::string::npos);
  const std::vector<Series> ends_early{{"up", {0, 0.5}, {0, 1}}, {"down", {0, 1}, {1, 0}}};
  CHECK(chart(ends_early).find("fill=\"#222222\">up<") != std::string::npos);
  std::vector<Series> together;
  for (int i = 0; i < 5; ++i) together.push_back({"s" + std::to_string(i), {0, 1}, {double(i), 0}});
  CHECK(chart(together).find("fill=\"#222222\">s4<") != std::string::npos);
}

TEST_CASE("texts stay inside the picture for any number of bars and panels") {
  for (const std::size_t count : {1u, 7u, 26u, 27u, 54u, 300u}) {
    const Texts labels(count, "a layer whose name is far longer than any chart has room for");
    const std::vector<Bars> groups{
        {"g", std::vector<double>(count, 0.5), Texts(count, "and a note that is long as well, much too long")}};
    CHECK(XmlChecker::fault(bar_chart("t", "s", {"v", {}, {}, true}, labels, groups)) == "");
    const std::vector<double> edges{-1, 0, 1};
    const std::vector<Counts> panels(count, {labels[0], {3, 4}});
    const std::string figure = histogram("t", "s", {"x"}, {"n"}, edges, panels);
    CHECK(XmlChecker::fault(figure) == "");
    CHECK(figure.find("=\"-") == figure.npos);  // no coordinate outside to the left or above
  }
}
