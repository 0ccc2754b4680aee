/// \file
/// How far a long run is: one line redrawn in place on a terminal, plain lines elsewhere.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <ostream>
#include <string_view>

#include "support/duration.hpp"

namespace examples {

/// The columns of the terminal at standard error, 80 where it does not say.
inline int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// Seconds on a clock that never goes back.
inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The progress of `total` steps on `out`, which is borrowed until the end of its life. Without a terminal only
/// `line` writes. The time left is judged by the steps since `first`, where a resumed run begins.
class Progress {
 public:
  Progress(std::ostream& out, long total, bool terminal, long first = 0, std::function<double()> clock = steady_seconds,
           std::function<int()> width = terminal_width)
      : out_(out),
        total_(total),
        first_(first),
        step_(first),
        terminal_(terminal),
        clock_(std::move(clock)),
        width_(std::move(width)),
        start_(clock_()) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { finish(); }

  /// `step` of the steps are done; `text` says in a few words how it goes. Draws at most ten times a second.
  void update(long step, std::string_view text) {
    step_ = step;
    if (!terminal_ || finished_) return;
    begun_ = true;
    text_.assign(text);
    const double now = clock_();
    if (!drawn_ || now - last_draw_ >= 0.1) draw(now);
  }

  /// Writes a line that stays; the bar moves below it.
  void line(std::string_view text) {
    clear();
    out_ << text << '\n' << std::flush;
    if (begun_ && !finished_) draw(clock_());
  }

  /// Takes the bar away; nothing but lines is written after it.
  void finish() {
    clear();
    finished_ = true;
  }

  double elapsed() const { return clock_() - start_; }

  /// Seconds to the end at the pace so far; NaN before the first step.
  double remaining() const {
    if (step_ <= first_) return std::nan("");
    return elapsed() / static_cast<double>(step_ - first_) * static_cast<double>(std::max(0L, total_ - step_));
  }

 private:
  void draw(double now) {
    last_draw_ = now;
    drawn_ = true;
    out_ << '\r' << content(std::max(1, width_() - 1)) << "\x1b[K" << std::flush;
  }

  void clear() {
    if (drawn_) out_ << "\r\x1b[K" << std::flush;
    drawn_ = false;
  }

  /// The bar in at most `columns` columns: where they are few, the drawn bar goes first, then the end of the text.
  std::string content(int columns) const {
    const double share =
        total_ > 0 ? std::clamp(static_cast<double>(step_) / static_cast<double>(total_), 0.0, 1.0) : 1;
    std::string percent = std::to_string(static_cast<int>(100 * share)) + "%";
    percent.insert(0, 4 - percent.size(), ' ');
    std::string rest = "  " + duration_text(elapsed());
    if (const double left = remaining(); std::isfinite(left)) rest += ", " + duration_text(left) + " left";
    if (!text_.empty()) rest += "  " + text_;
    const int room = columns - 8 - static_cast<int>(columns_of(rest));
    std::string bar;
    if (const int cells = std::min(room, 30); cells >= 8) {
      const int full = static_cast<int>(share * cells);
      bar = " [" + std::string(static_cast<std::size_t>(full), '#') +
            std::string(static_cast<std::size_t>(cells - full), '.') + "]";
    }
    return cut(percent + bar + rest, static_cast<std::size_t>(columns));
  }

  static bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }
  static std::size_t columns_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char byte) { return !continues(byte); }));
  }

  /// The first `columns` characters of UTF-8 text, control characters as blanks.
  static std::string cut(std::string text, std::size_t columns) {
    std::size_t end = 0, seen = 0;
    for (; end < text.size(); ++end) {
      if (!continues(text[end]) && ++seen > columns) break;
      if (static_cast<unsigned char>(text[end]) < 0x20 || text[end] == 0x7f) text[end] = ' ';
    }
    text.resize(end);
    return text;
  }

  std::ostream& out_;
  long total_, first_, step_;
  bool terminal_, begun_ = false, drawn_ = false, finished_ = false;
  std::function<double()> clock_;
  std::function<int()> width_;
  double start_, last_draw_ = 0;
  std::string text_;
};

}  // namespace examples
