// The section of the automatic mode: a plot of bytes against what is lost, with the target, and who got how many bits.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/html_report.h"
#include "lowbit/report/search_report.h"

namespace lowbit {
namespace {

constexpr double kPlotWidth = 720, kPlotHeight = 330, kPlotLeft = 62, kPlotRight = 16, kPlotTop = 16, kPlotBottom = 46;

/// A linear scale from values to pixels, with round numbers to mark.
struct Axis {
  double low, high, from, to;
  double at(double value) const {
    return high > low ? from + (std::clamp(value, low, high) - low) / (high - low) * (to - from) : from;
  }
  std::vector<double> marks() const {
    const double raw = (high - low) / 5, power = std::pow(10, std::floor(std::log10(std::max(raw, 1e-12))));
    const double step = power * (raw / power < 1.5 ? 1 : raw / power < 3.5 ? 2 : raw / power < 7.5 ? 5 : 10);
    std::vector<double> result;
    for (double v = std::ceil(low / step) * step; v <= high + 1e-9 * step && result.size() < 20; v += step)
      result.push_back(std::abs(v) < 1e-9 * step ? 0 : v);
    return result;
  }
};

/// What the picture shows of the losses: those that are not far beyond what matters.
Axis drop_axis(const SearchReport& report) {
  double low = 0, high = report.max_drop.value_or(0.5) * 1.5;
  double largest = high;
  std::vector<double> drops;
  for (const SearchPoint& point : report.points) {
    low = std::min(low, std::max(point.drop, -100.0));
    if (std::isfinite(point.drop)) drops.push_back(point.drop);
    if (point.picked && std::isfinite(point.ci95.high)) high = std::max(high, point.ci95.high);
  }
  std::sort(drops.begin(), drops.end());
  if (!drops.empty()) largest = drops[drops.size() * 3 / 4];
  high = std::max({high, largest * 1.15, 0.1});
  return {low - 0.05 * (high - low), high, kPlotHeight - kPlotBottom, kPlotTop};
}

Axis bytes_axis(const SearchReport& report) {
  double low = INFINITY, high = 0;
  for (const SearchPoint& point : report.points) {
    low = std::min(low, static_cast<double>(point.bytes));
    high = std::max(high, static_cast<double>(point.bytes));
  }
  if (report.max_bytes) {
    low = std::min(low, static_cast<double>(*report.max_bytes));
    high = std::max(high, static_cast<double>(*report.max_bytes));
  }
  const double margin = std::max(0.06 * (high - low), 0.02 * high);
  return {std::max(0.0, low - margin), high + margin, kPlotLeft, kPlotWidth - kPlotRight};
}

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>", x1, y1, x2, y2, style);
}

std::string text(double x, double y, const char* anchor, const std::string& words) {
  return fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"var(--soft)\" font-size=\"12\">{}</text>", x, y,
      anchor, escape_html(words));
}

std::string frame(const SearchReport& report, const Axis& x, const Axis& y) {
  std::string svg;
  for (const double mark : y.marks())
    svg += line(kPlotLeft, y.at(mark), kPlotWidth - kPlotRight, y.at(mark), "stroke=\"var(--line)\"") +
           text(kPlotLeft - 6, y.at(mark) + 4, "end", fmt::format("{:g}", mark));
  for (const double mark : x.marks())
    svg += text(x.at(mark), kPlotHeight - kPlotBottom + 18, "middle", bytes_text(static_cast<int64_t>(mark)));
  svg += text((kPlotLeft + kPlotWidth - kPlotRight) / 2, kPlotHeight - 6, "middle", "size of the file") +
         text(kPlotLeft, kPlotTop - 4, "start", "lost, " + report.unit);
  const char* target = "stroke=\"var(--warn)\" stroke-dasharray=\"5 4\"";
  if (report.max_drop)
    svg += line(kPlotLeft, y.at(*report.max_drop), kPlotWidth - kPlotRight, y.at(*report.max_drop), target);
  if (report.max_bytes) {
    const double at = x.at(static_cast<double>(*report.max_bytes));
    svg += line(at, kPlotTop, at, kPlotHeight - kPlotBottom, target);
  }
  return svg;
}

std::string plot(const SearchReport& report) {
  const Axis x = bytes_axis(report), y = drop_axis(report);
  std::string svg = fmt::format(
      "<div class=\"scroll\"><svg viewBox=\"0 0 {:g} {:g}\" "
      "style=\"width:100%;min-width:28rem;height:auto;display:block\" "
      "role=\"img\" aria-label=\"size of the file against what is lost, for every configuration that was tried\">",
      kPlotWidth, kPlotHeight);
  svg += frame(report, x, y);
  std::vector<const SearchPoint*> front;
  for (const SearchPoint& point : report.points)
    if (point.on_front) front.push_back(&point);
  std::sort(front.begin(), front.end(), [](const auto* a, const auto* b) { return a->bytes < b->bytes; });
  std::string path;
  for (const SearchPoint* point : front)
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x.at(static_cast<double>(point->bytes)),
                        y.at(point->drop));
  svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"var(--accent)\" stroke-width=\"1.5\"/>", path);
  for (const SearchPoint& point : report.points) {
    const double at = x.at(static_cast<double>(point.bytes));
    svg += "<g>" + line(at, y.at(point.ci95.low), at, y.at(point.ci95.high), "stroke=\"var(--float)\"");
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\" stroke=\"var(--accent)\"/>", at,
                       y.at(point.drop), point.picked ? 7 : 4,
                       point.picked  ? "var(--good)"
                       : point.meets ? "var(--accent)"
                                     : "var(--card)");
    svg +=
        fmt::format("<title>{}: {} bytes, {:.2f} lost ({:.2f} .. {:.2f}): {}</title></g>", point.number,
                    with_commas(point.bytes), point.drop, point.ci95.low, point.ci95.high, escape_html(point.summary));
  }
  return svg + "</svg></div>\n";
}

std::string layer_table(const SearchReport& report) {
  std::string rows;
  for (const SearchLayer& layer : report.layers)
    rows += fmt::format(
        "<tr><td class=\"name\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{:.3g}</td><td "
        "class=\"n\">{:.3g}</td></tr>\n",
        escape_html(layer.name), escape_html(layer.op), escape_html(layer.candidates[layer.chosen]),
        layer.losses[layer.chosen], *std::max_element(layer.losses.begin(), layer.losses.end()));
  return fmt::format(
      "<div class=\"scroll\"><table><thead><tr><th>Layer</th><th>Operator</th><th>Weights</th><th class=\"n\">Loss "
      "alone</th>"
      "<th class=\"n\">At worst</th></tr></thead><tbody>{}</tbody></table></div>\n",
      rows);
}

std::string list(const char* heading, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string html = fmt::format("<p>{}</p><ul class=\"findings\">\n", heading);
  for (const std::string& item : items) html += "<li class=\"attention\">" + escape_html(item) + "</li>\n";
  return html + "</ul>\n";
}

}  // namespace

std::string search_html(const SearchReport& report) {
  const char* tone = report.met ? "good" : report.verdict == "missed" ? "bad" : "warn";
  return fmt::format(
             "<h2>The search</h2>\n<p>Target <b class=\"{}\">{}</b>: {}. {} evaluations for {} layers with {} "
             "candidates; {}. "
             "Dots are configurations with their 95 % intervals on the selection data, filled if they meet the target; "
             "the "
             "line is the Pareto front, the large dot the choice.</p>\n",
             tone, escape_html(report.verdict), escape_html(report.sentence), report.evaluations, report.layer_count,
             report.layer_count > 0 ? report.pairs / report.layer_count : 0, escape_html(report.split)) +
         plot(report) + list("What damages the network:", report.causes) +
         list("What holds it back:", report.blockers) +
         fmt::format("<h2>Bits by layer</h2>\n<p>What each layer adds to the loss ({}) when it alone is low-bit.</p>\n",
                     escape_html(report.loss_name)) +
         layer_table(report);
}

}  // namespace lowbit
