#include "support/progress.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <sstream>

using namespace examples;

namespace {

/// A progress bar over a clock and a width that the test sets.
struct Bench {
  std::ostringstream out;
  double now = 100;
  int width = 80;
  Progress progress;

  explicit Bench(long total, bool terminal = true, long first = 0)
      : progress(
            out, total, terminal, first, [this] { return now; }, [this] { return width; }) {}

  std::string drawn() {
    std::string text = out.str();
    out.str("");
    return text;
  }
};

}  // namespace

TEST_CASE("durations read as people say them") {
  CHECK(duration_text(0) == "0 s");
  CHECK(duration_text(-3) == "0 s");
  CHECK(duration_text(8.4) == "8 s");
  CHECK(duration_text(59.7) == "1 min");
  CHECK(duration_text(80) == "1 min 20 s");
  CHECK(duration_text(3599.6) == "1 h");
  CHECK(duration_text(7510) == "2 h 5 min");
  CHECK(duration_text(86399) == "1 d");
  CHECK(duration_text(100 * 3600) == "4 d 4 h");
  CHECK(duration_text(std::numeric_limits<double>::infinity()) == "unknown");
  CHECK(duration_text(std::nan("")) == "unknown");
}

TEST_CASE("a terminal gets one line with share, times and text") {
  Bench bench(200);
  bench.now += 80;
  bench.progress.update(50, "97.1% at 80%");
  CHECK(bench.drawn() == "\r 25% [#######.......................]  1 min 20 s, 4 min left  97.1% at 80%\x1b[K");
  bench.progress.finish();
  CHECK(bench.drawn() == "\r\x1b[K");
  bench.progress.update(60, "late");
  bench.progress.finish();
  CHECK(bench.drawn() == "");
}

TEST_CASE("at most ten drawings a second") {
  Bench bench(1000);
  int drawings = 0;
  for (int i = 1; i <= 1000; ++i) {
    bench.now += 0.001;
    bench.progress.update(i, "x");
    drawings += !bench.drawn().empty();
  }
  CHECK(drawings >= 9);
  CHECK(drawings <= 11);
}

TEST_CASE("the line fits the terminal, whole characters only") {
  for (const int width : {1, 5, 20, 40, 60, 200}) {
    Bench bench(10);
    bench.width = width;
    bench.progress.update(5, "epoch 3\n\u03bc\u03bc\u03bc\u03bc\u03bc\u03bc\u03bc\u03bc\u03bc\u03bc\u03bc\u03bc and a "
                             "text that has no room on small terminals");
    const std::string text = bench.drawn();
    int columns = 0;
    for (std::size_t i = 1; i + 3 < text.size(); ++i) columns += (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    CHECK(columns <= std::max(1, width - 1));
    CHECK(text.find('\n') == text.npos);
  }
}

TEST_CASE("lines stay above the bar") {
  Bench bench(10);
  bench.progress.line("before");
  CHECK(bench.drawn() == "before\n");
  bench.progress.update(1, "");
  bench.drawn();
  bench.progress.line("epoch 1");
  const std::string text = bench.drawn();
  CHECK(text.starts_with("\r\x1b[Kepoch 1\n\r 10% ["));
}

TEST_CASE("without a terminal only lines are written") {
  Bench bench(10, false);
  bench.progress.update(5, "half");
  bench.progress.line("epoch 1: 97.1%");
  bench.progress.finish();
  bench.progress.line("done");
  CHECK(bench.drawn() == "epoch 1: 97.1%\ndone\n");
}

TEST_CASE("the time left counts the steps of this run only") {
  Bench bench(1000, true, 900);
  CHECK(std::isnan(bench.progress.remaining()));
  bench.now += 10;
  bench.progress.update(950, "");
  CHECK(bench.progress.remaining() == doctest::Approx(10));
  CHECK(bench.progress.elapsed() == doctest::Approx(10));
  bench.progress.update(2000, "beyond");
  CHECK(bench.progress.remaining() == 0);
}

TEST_CASE("no steps at all is no division by zero") {
  Bench bench(0);
  bench.progress.update(0, "");
  CHECK(bench.drawn().starts_with("\r100%"));
}
