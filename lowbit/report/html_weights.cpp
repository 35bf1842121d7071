#include "lowbit/report/html_weights.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/report/html_parts.h"
#include "lowbit/report/text_report.h"

namespace lowbit {
namespace {

constexpr size_t kMostLevels = 256;  // more are a grey area anyway
constexpr size_t kMostRows = 12;     // of a tensor; the whole model has all
constexpr double kHistogramWidth = 600, kHistogramHeight = 120;

/// Bars (square root scale), and a line for each level.
std::string histogram(const WeightPage::Figure& figure) {
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"histogram of {}\">",
      kHistogramWidth, kHistogramHeight, escape_html(figure.name));
  const double most = figure.counts.empty() ? 0 : *std::max_element(figure.counts.begin(), figure.counts.end());
  std::string path;
  const double width = kHistogramWidth / static_cast<double>(std::max<size_t>(figure.counts.size(), 1));
  for (size_t i = 0; i < figure.counts.size(); ++i) {
    const double height = most > 0 ? (kHistogramHeight - 12) * std::sqrt(figure.counts[i] / most) : 0;
    if (height > 0)
      path += fmt::format("M{:.2f} {}v{:.2f}h{:.2f}V{}z", width * static_cast<double>(i), kHistogramHeight, -height,
                          width * 0.92, kHistogramHeight);
  }
  std::string lines;
  for (size_t i = 0; i < std::min(figure.levels.size(), kMostLevels); ++i) {
    const double x = kHistogramWidth * (figure.levels[i] - figure.low) / (figure.high - figure.low);
    if (x >= 0 && x <= kHistogramWidth) lines += fmt::format("M{:.2f} 0V{}", x, kHistogramHeight);
  }
  return svg + fmt::format(
                   "<path d=\"{}\" fill=\"var(--accent)\"/><path class=\"level\" d=\"{}\" stroke=\"var(--warn)\" "
                   "stroke-width=\"1.2\" vector-effect=\"non-scaling-stroke\" fill=\"none\"/></svg>",
                   path, lines);
}

std::string table(const std::vector<WeightPage::Row>& rows, size_t most) {
  std::string head;
  for (const auto& [heading, kind] : std::initializer_list<std::pair<const char*, const char*>>{
           {"System", ""}, {"Granularity", ""}, {"Bits stored", "n"}, {"SQNR", "n"}})
    head += fmt::format("<th scope=\"col\" class=\"{}\"><button type=\"button\">{}</button></th>", kind, heading);
  std::string body;
  for (size_t i = 0; i < std::min(rows.size(), most); ++i) {
    const WeightPage::Row& row = rows[i];
    const double key = std::isfinite(row.sqnr_db) ? row.sqnr_db : 999;
    body += fmt::format(
        "<tr class=\"{}\"><td class=\"state\">{}</td><td>{}</td><td class=\"n\" data-v=\"{:.4f}\">{:.2f}</td><td "
        "class=\"n\" data-v=\"{:.4f}\">{}</td></tr>\n",
        row.best ? "low" : "", escape_html(row.system + (row.best ? " (best)" : "")), escape_html(row.granularity),
        row.bits, row.bits, key, escape_html(decibels_text(row.sqnr_db)));
  }
  return "<div class=\"scroll\"><table class=\"sortable\"><thead><tr>" + head + "</tr></thead><tbody>\n" + body +
         "</tbody></table></div>\n";
}

std::string section(const WeightPage::Figure& figure) {
  std::string text = fmt::format("<h2>{} <small>{}</small></h2>\n<p>{}</p>\n", escape_html(figure.name),
                                 escape_html(figure.shape), escape_html(figure.facts));
  if (figure.high > figure.low)
    text += fmt::format(
        "<figure class=\"weights\">{}<div class=\"ends\"><span>{:.4g}</span><span>lines: levels of {}, fitted to the "
        "whole tensor</span><span>{:.4g}</span></div></figure>\n",
        histogram(figure), figure.low, escape_html(figure.level_system), figure.high);
  return text + table(figure.rows, kMostRows);
}

}  // namespace

std::string to_html(const WeightPage& page) {
  std::string body = fmt::format("<p class=\"verdict\">{}</p>\n", escape_html(page.sentence));
  if (!page.model.empty())
    body += fmt::format(
                "<h2>The whole model in each system</h2>\n<p>Each at its best granularity; bits include the "
                "parameters. Best: the highest SQNR after 6.02 dB are taken off for each stored bit above {}.</p>\n",
                page.bits) +
            table(page.model, page.model.size());
  for (const WeightPage::Figure& figure : page.figures) body += section(figure);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>{0}: weights at {1} bits</title>\n<style>{2}\n"
      "figure.weights {{ margin: 0 0 1rem; }} figure.weights svg {{ display: block; width: 100%; height: 9rem; "
      "background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }} h2 small {{ font-weight: 400; "
      "color: var(--soft); }}</style>\n</head>\n<body>\n<main>\n<header><p>{3}</p><h1>{0}: weights at {1} "
      "bits</h1></header>\n{4}<footer>Written by lowbit "
      "{5}.</footer>\n</main>\n<script>{6}</script>\n</body>\n</html>\n",
      escape_html(page.title), page.bits, html::style(), escape_html(page.source), body, escape_html(page.version),
      html::script());
}

}  // namespace lowbit
