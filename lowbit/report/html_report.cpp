#include "lowbit/report/html_report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/html_parts.h"
#include "lowbit/report/shifted_report.h"
#include "lowbit/report/text_diagnosis.h"
#include "lowbit/report/text_report.h"

namespace lowbit {
namespace html {
namespace {

constexpr double kFullBarDb = 80;  // an int16 layer reaches about 90 dB; beyond 80 nothing is to be seen
constexpr size_t kMostDistributions = 120;

std::string cell(std::string_view kind, const std::string& text, std::optional<double> sort_key = std::nullopt) {
  const std::string key = sort_key && std::isfinite(*sort_key) ? fmt::format(" data-v=\"{:.6g}\"", *sort_key)
                          : sort_key                           ? " data-v=\"999\""
                                                               : "";
  return fmt::format("<td class=\"{}\"{}>{}</td>", kind, key, escape_html(text));
}

/// One bar of a decibel value; infinite ones fill the whole width.
std::string decibel_bar(double db, const char* colour) {
  const double share = std::isfinite(db) ? std::clamp(db / kFullBarDb, 0.0, 1.0) : db > 0 ? 1.0 : 0.0;
  return fmt::format(
      "<div class=\"bar\"><svg viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect "
      "width=\"100\" height=\"6\" fill=\"var(--shade)\"/><rect width=\"{:.1f}\" height=\"6\" "
      "fill=\"var({})\"/></svg><span>{}</span></div>",
      100 * share, colour, escape_html(decibels_text(db)));
}

struct LayerBars {
  std::optional<double> weights, local, accumulated;
};

std::string histogram(const Distribution& item) {
  const double most = *std::max_element(item.counts.begin(), item.counts.end());
  const double span = item.high - item.low;
  const double width = 200.0 / static_cast<double>(item.counts.size());
  std::string svg = "<svg viewBox=\"0 0 200 60\" preserveAspectRatio=\"none\" aria-hidden=\"true\">";
  if (item.grid_high > item.grid_low) {
    const double left = std::clamp(200 * (item.grid_low - item.low) / span, 0.0, 200.0);
    const double right = std::clamp(200 * (item.grid_high - item.low) / span, 0.0, 200.0);
    svg += fmt::format("<rect x=\"{:.1f}\" y=\"0\" width=\"{:.1f}\" height=\"60\" fill=\"var(--shade)\"/>", left,
                       std::max(0.0, right - left));
  }
  std::string path;
  for (size_t i = 0; i < item.counts.size(); ++i) {
    // The square root lets thin tails be seen beside a high centre.
    const double height = most > 0 ? 58 * std::sqrt(std::max(0.0, item.counts[i]) / most) : 0;
    if (height > 0)
      path += fmt::format("M{:.2f} 60v{:.2f}h{:.2f}V60z", width * static_cast<double>(i), -height, width * 0.92);
  }
  svg += fmt::format("<path d=\"{}\" fill=\"var(--accent)\"/>", path);
  std::string lines;
  for (const float level : item.levels)
    if (const double x = 200 * (level - item.low) / span; x >= 0 && x <= 200) lines += fmt::format("M{:.2f} 0V60", x);
  if (!lines.empty())
    svg += fmt::format(
        "<path d=\"{}\" stroke=\"var(--warn)\" stroke-width=\"1\" vector-effect=\"non-scaling-stroke\" opacity=\".7\" "
        "fill=\"none\"/>",
        lines);
  return svg + "</svg>";
}

}  // namespace

std::string ledger(const Coverage& coverage) {
  if (coverage.layers.empty()) return "";
  std::string head;
  for (const auto& [heading, kind] : std::initializer_list<std::pair<const char*, const char*>>{{"Layer", ""},
                                                                                                {"Operator", ""},
                                                                                                {"State", ""},
                                                                                                {"Weights", ""},
                                                                                                {"Activations", ""},
                                                                                                {"Multiply-adds", "n"},
                                                                                                {"Float", "n"},
                                                                                                {"Low-bit", "n"},
                                                                                                {"SQNR", "n"},
                                                                                                {"Clipped", "n"},
                                                                                                {"Note", ""}})
    head += fmt::format("<th scope=\"col\" class=\"{}\"><button type=\"button\">{}</button></th>", kind, heading);
  std::string rows;
  for (const LayerDecision& layer : coverage.layers) {
    const bool measured = layer.low_bit && layer.float_weight_bytes > 0;
    rows += fmt::format("<tr class=\"{}\">", layer.low_bit ? "low" : "kept") + cell("name", layer.name) +
            cell("", layer.op) + cell("state", layer.low_bit ? "low-bit" : "kept") + cell("", layer.weights) +
            cell("", layer.activations) +
            cell("n", layer.macs ? with_commas(layer.macs) : "", static_cast<double>(layer.macs)) +
            cell("n", layer.float_weight_bytes ? bytes_text(layer.float_weight_bytes) : "",
                 static_cast<double>(layer.float_weight_bytes)) +
            cell("n", layer.float_weight_bytes ? bytes_text(layer.weight_bytes) : "",
                 static_cast<double>(layer.weight_bytes)) +
            cell("n", measured ? decibels_text(layer.weight_error.sqnr_db) : "",
                 measured ? layer.weight_error.sqnr_db : INFINITY) +
            cell("n", measured ? percent_text(layer.weight_error.clipped_share) : "",
                 measured ? layer.weight_error.clipped_share : 0) +
            cell("note", layer.reason) + "</tr>\n";
  }
  return "<h2>Every layer, and why</h2>\n<p>Nothing is left out: a layer is low-bit, or it was kept in float for the "
         "reason given. Click a heading to sort.</p>\n<div class=\"scroll\"><table class=\"sortable\"><thead><tr>" +
         head + "</tr></thead><tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string error_bars(const HtmlReport& report) {
  std::map<std::string, LayerBars> bars;
  for (const LayerDecision& layer : report.coverage.layers)
    if (layer.low_bit && layer.float_weight_bytes > 0) bars[layer.name].weights = layer.weight_error.sqnr_db;
  for (const LayerError& layer : report.layer_errors) {
    bars[layer.name].local = layer.local.sqnr_db;
    bars[layer.name].accumulated = layer.accumulated.sqnr_db;
  }
  // In the order of the network, so that one sees where the error comes in.
  std::vector<std::string> order;
  for (const LayerDecision& layer : report.coverage.layers)
    if (bars.contains(layer.name)) order.push_back(layer.name);
  for (const LayerError& layer : report.layer_errors)
    if (std::find(order.begin(), order.end(), layer.name) == order.end()) order.push_back(layer.name);
  if (order.empty()) return "";
  std::string rows;
  for (const std::string& name : order) {
    const LayerBars& layer = bars.at(name);
    rows += fmt::format("<div class=\"label\" title=\"{0}\">{0}</div><div class=\"set\">", escape_html(name));
    if (layer.weights) rows += decibel_bar(*layer.weights, "--float");
    if (layer.local) rows += decibel_bar(*layer.local, "--accent");
    if (layer.accumulated) rows += decibel_bar(*layer.accumulated, "--warn");
    rows += "</div>\n";
  }
  std::string legend = "<span><i style=\"background:var(--float)\"></i>weights</span>";
  if (!report.layer_errors.empty())
    legend +=
        "<span><i style=\"background:var(--accent)\"></i>output, this layer alone</span><span><i "
        "style=\"background:var(--warn)\"></i>output, everything so far</span>";
  std::string sentences;
  for (const std::string& sentence : {halves_sentence(report.diagnosis), entry_sentence(report.diagnosis)})
    if (!sentence.empty()) sentences += " <b>" + escape_html(sentence) + "</b>";
  return "<h2>Error of each layer</h2>\n<p>Signal to quantization noise: longer is better. 20 dB means an error of a "
         "tenth of the signal, 40 dB of a hundredth." +
         sentences + "</p>\n<div class=\"legend\">" + legend + "</div>\n<div class=\"bars\">\n" + rows + "</div>\n" +
         figures(report.diagnosis.layers);
}

std::string distributions(const std::vector<Distribution>& items) {
  std::string figures;
  size_t drawn = 0;
  for (const Distribution& item : items) {
    if (item.counts.empty() || !(item.high > item.low) || drawn == kMostDistributions) continue;
    ++drawn;
    figures += fmt::format(
        "<figure><figcaption><b title=\"{0}\">{0}</b><span>{1} · {2} · clipped {3}</span></figcaption>{4}<div "
        "class=\"ends\"><span>{5:.3g}</span><span>{7}</span><span>{6:.3g}</span></div></figure>\n",
        escape_html(item.name), escape_html(item.kind), escape_html(item.format),
        escape_html(percent_text(item.clipped_share)), histogram(item), item.low, item.high, escape_html(item.unit));
  }
  if (figures.empty()) return "";
  const std::string more =
      drawn < items.size() ? fmt::format(" Shown: {} of {} tensors.", drawn, items.size()) : std::string();
  return "<h2>How the values are spread</h2>\n<p>Bars are counts (square root scale), the shaded part is what the "
         "codes can represent; values outside it are clipped. Lines are the levels where there are few of them." +
         more + "</p>\n<div class=\"multiples\">\n" + figures + "</div>\n";
}

std::string manifest(const HtmlReport& report) {
  std::string text = "<h2>Make it again</h2>\n<p>The recipe holds every decision, the automatic ones included.</p>\n";
  if (!report.command.empty()) text += "<pre>" + escape_html(report.command) + "</pre>\n";
  std::string recipe;
  for (const std::string& line : split(report.recipe, '\n')) recipe += escape_html(line) + "\n";
  if (!report.recipe.empty()) text += "<pre>" + recipe + "</pre>\n";
  return text;
}

}  // namespace html

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : printable(text, text.size() * 4 + 16)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string to_html(const HtmlReport& report) {
  std::string body = html::verdict(report) + report.search + html::findings(report) + html::models(report) +
                     html::examples(report.disagreements);
  for (const ShiftedEvaluation& evaluation : report.shifted) body += html::shifted(evaluation);
  body += html::error_bars(report) + html::graph(report.diagnosis.graph) + html::ledger(report.coverage) +
          html::distributions(report.distributions) + html::manifest(report);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>{0} in low bits</title>\n<style>{1}</style>\n</head>\n"
      "<body>\n<main>\n<header><p>{2} → {3}{4}</p><h1>{0} in low bits</h1></header>\n{5}<footer>Written by lowbit "
      "{6}.</footer>\n</main>\n<script>{7}</script>\n</body>\n</html>\n",
      escape_html(report.title), html::style(), escape_html(report.source), escape_html(report.result),
      report.data.empty() ? "" : " · calibrated on " + escape_html(report.data), body, escape_html(report.version),
      html::script());
}

}  // namespace lowbit
