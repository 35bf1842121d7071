// The table of models, and the figures of the layers.
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/html_parts.h"
#include "lowbit/report/text_report.h"

namespace lowbit::html {
namespace {

std::string head_cell(const char* heading, bool number) {
  return fmt::format("<th scope=\"col\" class=\"{}\">{}</th>", number ? "n" : "", heading);
}

std::string number_cell(const std::string& text) { return "<td class=\"n\">" + escape_html(text) + "</td>"; }

std::string times_text(double times) { return times > 0 ? fmt::format("{:.1f}x", times) : "-"; }

}  // namespace

std::string models(const HtmlReport& report) {
  if (!report.float_evaluation || !report.low_bit_evaluation) return "";
  const ModelEvaluation* columns[] = {&*report.float_evaluation, &*report.low_bit_evaluation};
  std::set<std::string> names;
  for (const ModelEvaluation* model : columns)
    for (const auto& [name, metric] : model->metrics) names.insert(name);
  std::string rows;
  const auto add = [&](const std::string& name, const auto& text) {
    rows += "<tr><th scope=\"row\">" + escape_html(name) + "</th>";
    for (const ModelEvaluation* model : columns) rows += number_cell(text(*model));
    rows += "</tr>\n";
  };
  for (const std::string& name : names)
    add(name, [&](const ModelEvaluation& model) {
      const auto found = model.metrics.find(name);
      return found == model.metrics.end() ? std::string("-") : metric_text(name, found->second);
    });
  add("size", [](const ModelEvaluation& model) { return bytes_text(model.file_bytes); });
  add("latency, one sample", [](const ModelEvaluation& model) { return milliseconds_text(model.latency_ms_median); });
  add("samples", [](const ModelEvaluation& model) { return with_commas(model.samples); });
  std::string note = report.low_bit_evaluation->note;
  return "<section><h2>The models side by side</h2>\n<p>In brackets: 95 % intervals." +
         (note.empty() ? "" : " " + escape_html(note)) +
         "</p>\n<div class=\"scroll\"><table class=\"models\"><thead><tr><th></th>" + head_cell("Float", true) +
         head_cell("Low-bit", true) + "</tr></thead><tbody>\n" + rows + "</tbody></table></div></section>\n";
}

std::string figures(const std::vector<LayerFigures>& layers) {
  if (layers.empty()) return "";
  std::string head = head_cell("Layer", false);
  for (const char* name : {"Range used", "Codes used", "Clipped", "Saturated", "Weights, widest", "Values, widest",
                           "Tail", "Shift", "Dead"})
    head += head_cell(name, true);
  std::string rows;
  for (const LayerFigures& layer : layers) {
    const bool low_bit = layer.codes > 0;
    rows += "<tr><td class=\"name\">" + escape_html(layer.name) + "</td>" +
            number_cell(low_bit ? percent_text(layer.range_use, 0) : "-") +
            number_cell(low_bit ? fmt::format("{} of {}", layer.codes_used, layer.codes) : "-") +
            number_cell(low_bit ? percent_text(layer.clipped_share) : "-") +
            number_cell(low_bit ? percent_text(layer.saturated_share) : "-") +
            number_cell(times_text(layer.weight_imbalance)) + number_cell(times_text(layer.channel_imbalance)) +
            number_cell(layer.tail > 0 ? fmt::format("{:.1f} sd", layer.tail) : "-") +
            number_cell(layer.mean_shift > 0 ? fmt::format("{:.2f}", layer.mean_shift) : "-") +
            number_cell(layer.dead_channels > 0 ? std::to_string(layer.dead_channels) : "-") + "</tr>\n";
  }
  return "<details><summary>The figures behind it</summary>\n<p>Widest: the widest channel over the median one. Tail: "
         "the "
         "value farthest from the mean, in standard deviations. Shift: mean error of the channels, in steps of the "
         "codes. "
         "Dead: channels that never change.</p>\n<div class=\"scroll\"><table><thead><tr>" +
         head + "</tr></thead><tbody>\n" + rows + "</tbody></table></div></details>\n";
}

}  // namespace lowbit::html
