/// \file
/// An SVG under construction, 720 x 440: the shapes that charts are made of, the title, the legend and the axes.
#pragma once

#include <span>

#include "support/svg/axis.hpp"
#include "support/svg/text.hpp"

namespace examples::svg {

inline constexpr double chart_width = 720, chart_height = 440;
inline constexpr double margin = 20;

inline constexpr std::string_view ink = "#222222", faint_ink = "#555555", axis_ink = "#444444", grid_ink = "#e4e4e4";

/// Okabe and Ito's colours, which colour-blind readers tell apart, and a darker tone of each for text on white.
struct Colour {
  std::string_view line, text;
};
inline constexpr std::array<Colour, 7> palette{{{"#0072b2", "#005a8c"},
                                                {"#d55e00", "#a84a00"},
                                                {"#009e73", "#00724f"},
                                                {"#cc79a7", "#8f3f6b"},
                                                {"#e69f00", "#8a5f00"},
                                                {"#56b4e9", "#1f6f9c"},
                                                {"#777777", "#555555"}}};
inline constexpr Colour colour(std::size_t index) { return palette[index % palette.size()]; }

/// How a text is set; `anchor` is start, middle or end; `turned` reads upwards.
struct TextStyle {
  double size = 12;
  std::string_view anchor = "start";
  std::string_view colour = ink;
  bool bold = false;
  bool turned = false;
};

/// How a line is drawn; `dash` as SVG writes it, empty for solid.
struct Stroke {
  std::string_view colour = axis_ink;
  double width = 1;
  std::string_view dash = "";
};

/// A rectangle in pixels; y grows downwards.
struct Box {
  double left, top, right, bottom;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
};

/// What a legend shows beside a name.
struct LegendEntry {
  enum class Sign { line, marked_line, marker, box };
  std::string name;
  Sign sign;
  std::size_t index;  ///< of the colour and the marker
  Stroke stroke;
};

class Canvas {
 public:
  /// Writes the title, and the subtitle under it; text that is too long is made smaller, then cut.
  Canvas(std::string_view title, std::string_view subtitle) {
    out_ =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 440\" width=\"720\" height=\"440\" role=\"img\" "
        "aria-label=\"" +
        escaped(title) + "\" font-family=\"Helvetica, Arial, sans-serif\">\n<title>" + escaped(title) +
        "</title>\n<desc>" + escaped(subtitle) + "</desc>\n";
    rectangle({0, 0, chart_width, chart_height}, "#ffffff");
    top_ = 14;
    if (!title.empty()) heading(title, {.size = 16, .bold = true}, 18);
    if (!subtitle.empty()) heading(subtitle, {.size = 12, .colour = faint_ink}, 17);
  }

  /// Where the free area begins, below the title and the legend.
  double top() const { return top_; }

  void line(double x1, double y1, double x2, double y2, const Stroke& stroke = {}) {
    out_ += "<line";
    attribute("x1", x1), attribute("y1", y1), attribute("x2", x2), attribute("y2", y2);
    finish(stroke);
  }

  /// Joins the points; several at the same place are drawn once.
  void polyline(std::span<const std::pair<double, double>> points, const Stroke& stroke) {
    out_ += "<polyline fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\" points=\"";
    std::string last, separator;
    for (const auto& [x, y] : points) {
      const std::string point = short_text(x, 1) + "," + short_text(y, 1);
      if (point == last) continue;
      out_ += separator + point;
      separator = " ";
      last = point;
    }
    out_ += "\"";
    finish(stroke);
  }

  void rectangle(const Box& box, std::string_view fill) {
    out_ += "<rect";
    attribute("x", box.left), attribute("y", box.top), attribute("width", std::max(0.0, box.width()));
    attribute("height", std::max(0.0, box.height()));
    out_.append(" fill=\"").append(fill).append("\"/>\n");
  }

  /// Several rectangles as one shape.
  void rectangles(std::span<const Box> boxes, std::string_view fill) {
    if (boxes.empty()) return;
    out_ += "<path d=\"";
    for (const Box& box : boxes)
      out_ += "M" + short_text(box.left, 2) + " " + short_text(box.top, 2) + "h" + short_text(box.width(), 2) + "v" +
              short_text(box.height(), 2) + "h" + short_text(-box.width(), 2) + "z";
    out_.append("\" fill=\"").append(fill).append("\"/>\n");
  }

  /// A circle, square, diamond or triangle by index, so that series differ without colour too.
  void marker(double x, double y, std::size_t index, double radius = 4) {
    static constexpr std::array<std::array<double, 8>, 4> corners{{{},
                                                                   {-.88, -.88, .88, -.88, .88, .88, -.88, .88},
                                                                   {0, -1.3, 1.3, 0, 0, 1.3, -1.3, 0},
                                                                   {0, -1.2, 1.15, .9, -1.15, .9, -1.15, .9}}};
    const auto& shape = corners[index % corners.size()];
    if (index % corners.size() == 0) {
      out_ += "<circle";
      attribute("cx", x), attribute("cy", y), attribute("r", radius);
    } else {
      out_ += "<polygon points=\"";
      for (std::size_t i = 0; i < shape.size(); i += 2)
        out_ += (i ? " " : "") + short_text(x + radius * shape[i], 2) + "," + short_text(y + radius * shape[i + 1], 2);
      out_ += "\"";
    }
    out_.append(" fill=\"").append(colour(index).line).append("\" stroke=\"#ffffff\" stroke-width=\"1\"/>\n");
  }

  void text(double x, double y, std::string_view content, const TextStyle& style = {}) {
    if (content.empty()) return;
    out_ += "<text";
    if (style.turned)
      out_ += " transform=\"translate(" + short_text(x, 2) + "," + short_text(y, 2) + ") rotate(-90)\"";
    else
      attribute("x", x), attribute("y", y);
    attribute("font-size", style.size);
    if (style.anchor != "start") out_.append(" text-anchor=\"").append(style.anchor).append("\"");
    if (style.bold) out_ += " font-weight=\"bold\"";
    out_.append(" fill=\"").append(style.colour).append("\">").append(escaped(content)).append("</text>\n");
  }

  /// What is drawn between the two calls shows only inside the box.
  void begin_clip(const Box& box) {
    out_ += "<svg";
    attribute("x", box.left), attribute("y", box.top), attribute("width", box.width()),
        attribute("height", box.height());
    out_ += " viewBox=\"" + short_text(box.left, 2) + " " + short_text(box.top, 2) + " " + short_text(box.width(), 2) +
            " " + short_text(box.height(), 2) + "\">\n";
  }
  void end_clip() { out_ += "</svg>\n"; }

  /// Names in rows under the title.
  void legend(std::span<const LegendEntry> entries) {
    constexpr double gap = 22;
    if (entries.empty()) return;
    double x = margin, y = top_ + 18;
    for (const LegendEntry& entry : entries) {
      const double sign_width = entry.sign == LegendEntry::Sign::box ? 13 : 24;
      const std::string name = shortened(entry.name, 12, chart_width - 2 * margin - sign_width - 6);
      const double width = sign_width + 6 + text_width(name, 12);
      if (x > margin && x + width > chart_width - margin) x = margin, y += 18;
      legend_sign(entry, x, y - 4, sign_width);
      text(x + sign_width + 6, y, name);
      x += width + gap;
    }
    top_ = y + 5;
  }

  std::string finished() && { return std::move(out_) + "</svg>\n"; }

 private:
  void attribute(std::string_view name, double value) {
    out_.append(" ").append(name).append("=\"").append(short_text(value, 2)).append("\"");
  }

  void finish(const Stroke& stroke) {
    out_.append(" stroke=\"").append(stroke.colour).append("\"");
    if (stroke.width != 1) attribute("stroke-width", stroke.width);
    if (!stroke.dash.empty()) out_.append(" stroke-dasharray=\"").append(stroke.dash).append("\"");
    out_ += "/>\n";
  }

  void heading(std::string_view content, TextStyle style, double height) {
    constexpr double room = chart_width - 2 * margin;
    const double natural = text_width(content, style.size, style.bold);
    if (natural > room) style.size = std::max(0.8 * style.size, std::floor(10 * style.size * room / natural) / 10);
    top_ += height;
    text(margin, top_ - 2, shortened(content, style.size, room, style.bold), style);
  }

  void legend_sign(const LegendEntry& entry, double x, double y, double width) {
    using Sign = LegendEntry::Sign;
    if (entry.sign == Sign::box) rectangle({x, y - 5.5, x + width, y + 5.5}, entry.stroke.colour);
    if (entry.sign == Sign::line || entry.sign == Sign::marked_line) line(x, y, x + width, y, entry.stroke);
    if (entry.sign == Sign::marker || entry.sign == Sign::marked_line) marker(x + width / 2, y, entry.index);
  }

  std::string out_;
  double top_;
};

inline void no_data(Canvas& canvas, const Box& box = {0, 0, chart_width, chart_height}) {
  canvas.text((box.left + box.right) / 2, (box.top + box.bottom) / 2, "no data",
              {.anchor = "middle", .colour = faint_ink});
}

/// The widest of the texts in pixels.
inline double widest(std::span<const std::string> texts, double size) {
  double width = 0;
  for (const std::string& text : texts) width = std::max(width, text_width(text, size));
  return width;
}

/// Ticks, their texts and grid lines of a horizontal axis at the foot of the box, thinned where they would touch.
inline void draw_x_axis(Canvas& canvas, const Box& box, const Ticks& ticks, const Scale& scale, bool grid,
                        double size = 12) {
  const double pitch = ticks.at.size() < 2 ? box.width() : std::abs(scale(ticks.at[1]) - scale(ticks.at[0]));
  const auto stride =
      static_cast<std::size_t>(std::max(1.0, std::ceil((widest(ticks.text, size) + 8) / std::max(pitch, 1.0))));
  for (std::size_t i = 0; i < ticks.at.size(); ++i) {
    const double x = scale(ticks.at[i]);
    if (grid) canvas.line(x, box.top, x, box.bottom, {grid_ink});
    canvas.line(x, box.bottom, x, box.bottom + 4);
    if (i % stride == 0) canvas.text(x, box.bottom + 6 + size, ticks.text[i], {.size = size, .anchor = "middle"});
  }
  canvas.line(box.left, box.bottom, box.right, box.bottom);
}

/// The same for a vertical axis at the left or the right side of the box.
inline void draw_y_axis(Canvas& canvas, const Box& box, const Ticks& ticks, const Scale& scale, bool grid,
                        bool right = false, const TextStyle& style = {}) {
  const double foot = right ? box.right : box.left, outwards = right ? 1 : -1;
  for (std::size_t i = 0; i < ticks.at.size(); ++i) {
    const double y = scale(ticks.at[i]);
    if (grid) canvas.line(box.left, y, box.right, y, {grid_ink});
    canvas.line(foot, y, foot + 4 * outwards, y);
    canvas.text(foot + 7 * outwards, y + 0.36 * style.size, ticks.text[i],
                {style.size, right ? "start" : "end", style.colour});
  }
  canvas.line(foot, box.top, foot, box.bottom);
}

/// An axis's name: below the box, or turned beside it, centred.
inline void x_label(Canvas& canvas, const Box& box, const std::string& label) {
  canvas.text((box.left + box.right) / 2, chart_height - 12, shortened(label, 12.5, box.width()),
              {.size = 12.5, .anchor = "middle"});
}
inline void y_label(Canvas& canvas, const Box& box, const std::string& label, double x, std::string_view colour = ink) {
  canvas.text(x, (box.top + box.bottom) / 2, shortened(label, 12.5, box.height()),
              {.size = 12.5, .anchor = "middle", .colour = colour, .turned = true});
}

}  // namespace examples::svg
