// Samples on which the two models decide differently, with the picture, or the curve, that they saw.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/html_parts.h"
#include "lowbit/report/text_report.h"

namespace lowbit::html {
namespace {

std::string base64(const std::vector<std::byte>& bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k)
      three = three << 8 | (i + k < bytes.size() ? std::to_integer<uint32_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? kDigits[three >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::string picture(const Example& example) {
  return fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"the input\"><image width=\"{0}\" height=\"{1}\" "
      "href=\"data:image/jpeg;base64,{2}\"/></svg>",
      example.width, example.height, base64(example.jpeg));
}

std::string curves(const Example& example) {
  constexpr double kWidth = 200, kHeight = 120;
  double low = INFINITY, high = -INFINITY;
  for (const auto& line : example.series)
    for (const float v : line)
      if (std::isfinite(v)) low = std::min<double>(low, v), high = std::max<double>(high, v);
  if (!(low <= high)) return "";
  if (high == low) low -= 1, high += 1;
  static constexpr const char* kColours[] = {"--accent", "--warn", "--float", "--bad", "--good", "--soft"};
  std::string svg =
      fmt::format("<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"the input over time\">", kWidth, kHeight);
  for (size_t c = 0; c < example.series.size(); ++c) {
    const auto& line = example.series[c];
    std::string path;
    for (size_t t = 0; t < line.size(); ++t) {
      if (!std::isfinite(line[t])) continue;
      const double x = kWidth * static_cast<double>(t) / static_cast<double>(std::max<size_t>(1, line.size() - 1));
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x,
                          kHeight - 6 - (kHeight - 12) * (line[t] - low) / (high - low));
    }
    svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"var({})\" stroke-width=\"1.5\"/>", path,
                       kColours[c % std::size(kColours)]);
  }
  return svg + "</svg>";
}

std::string decision(const char* who, const std::string& name, double score, bool right, bool known) {
  return fmt::format("<p><span>{}</span> <b class=\"{}\">{}</b>{}</p>", who,
                     !known  ? ""
                     : right ? "good"
                             : "bad",
                     escape_html(name), std::isfinite(score) ? fmt::format(" <small>{:.2f}</small>", score) : "");
}

std::string card(const Example& example) {
  const bool known = !example.label.empty();
  std::string html = "<figure class=\"example\">";
  html += !example.jpeg.empty() ? picture(example) : curves(example);
  html += "<figcaption>" + decision("float", example.float_class, example.float_score, example.float_right, known) +
          decision("low-bit", example.low_bit_class, example.low_bit_score, example.low_bit_right, known);
  if (known) html += fmt::format("<p><span>label</span> {}</p>", escape_html(example.label));
  return html +
         fmt::format("<p class=\"name\" title=\"{0}\">{0}</p></figcaption></figure>\n", escape_html(example.name));
}

}  // namespace

std::string examples(const Disagreements& disagreements) {
  if (disagreements.samples == 0) return "";
  std::string html = "<section><h2>Where they disagree</h2>\n";
  if (disagreements.differing == 0)
    return html + fmt::format("<p>Float and low-bit decide alike on all {} samples.</p></section>\n",
                              with_commas(disagreements.samples));
  html += fmt::format("<p>On {} of {} samples ({}) the two models decide differently",
                      with_commas(disagreements.differing), with_commas(disagreements.samples),
                      escape_html(percent_text(static_cast<double>(disagreements.differing) /
                                               static_cast<double>(disagreements.samples))));
  if (disagreements.float_only_right + disagreements.low_bit_only_right > 0)
    html += fmt::format(": on {} only float is right, on {} only low-bit, on the rest neither",
                        with_commas(disagreements.float_only_right), with_commas(disagreements.low_bit_only_right));
  html += disagreements.examples.size() < static_cast<size_t>(disagreements.differing)
              ? fmt::format(". {} of them, those that only float gets right first.", disagreements.examples.size())
              : std::string(".");
  html += "</p>\n<div class=\"examples\">\n";
  for (const Example& example : disagreements.examples) html += card(example);
  return html + "</div></section>\n";
}

}  // namespace lowbit::html
