// The first screen of the report: verdict, figures, findings.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/html_parts.h"
#include "lowbit/report/text_report.h"

namespace lowbit::html {
namespace {

/// The metric that the verdict speaks of: accuracy if there are labels, else agreement with the float model, else the
/// error of the output.
std::string main_metric(const HtmlReport& report) {
  if (!report.low_bit_evaluation) return "";
  for (const char* name : {"accuracy", "agreement", "sqnr_db"})
    if (report.low_bit_evaluation->metrics.contains(name)) return name;
  return "";
}

const Metric* metric_of(const std::optional<ModelEvaluation>& evaluation, const std::string& name) {
  if (!evaluation) return nullptr;
  const auto found = evaluation->metrics.find(name);
  return found == evaluation->metrics.end() ? nullptr : &found->second;
}

std::string card(const std::string& heading, const std::string& figure, const std::string& detail,
                 const std::string& drawing = "") {
  return fmt::format("<div class=\"card\"><h3>{}</h3><div class=\"figure\">{}</div><p>{}</p>{}</div>\n",
                     escape_html(heading), figure, detail, drawing);
}

/// Two marks with their intervals on one axis: float above, low-bit below.
std::string interval_drawing(const Metric& reference, const Metric& other) {
  double low = std::min(reference.ci95.low, other.ci95.low), high = std::max(reference.ci95.high, other.ci95.high);
  if (!(high > low)) return "";
  const double margin = 0.05 * (high - low);
  low -= margin, high += margin;
  const auto x = [&](double value) { return 200 * (value - low) / (high - low); };
  std::string svg =
      "<svg viewBox=\"0 0 200 34\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"95 % intervals, float above, "
      "low-bit below\">";
  const auto row = [&](const Metric& metric, double y, const char* colour) {
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"5\" rx=\"2\" fill=\"var({})\" opacity=\".4\"/><rect "
        "x=\"{:.1f}\" y=\"{}\" width=\"3\" height=\"11\" fill=\"var({})\"/>",
        x(metric.ci95.low), y - 2.5, x(metric.ci95.high) - x(metric.ci95.low), colour, x(metric.value) - 1.5, y - 5.5,
        colour);
  };
  row(reference, 10, "--float");
  row(other, 25, "--accent");
  return svg + "</svg>";
}

/// Two bars, float above, low-bit below, on the scale of the larger.
std::string size_drawing(int64_t before, int64_t after) {
  const double most = static_cast<double>(std::max<int64_t>({before, after, 1}));
  return fmt::format(
      "<svg viewBox=\"0 0 200 34\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"bytes, float above, low-bit "
      "below\"><rect x=\"0\" y=\"4\" width=\"{:.1f}\" height=\"11\" rx=\"2\" fill=\"var(--float)\" "
      "opacity=\".6\"/><rect "
      "x=\"0\" y=\"19\" width=\"{:.1f}\" height=\"11\" rx=\"2\" fill=\"var(--accent)\"/></svg>",
      200 * static_cast<double>(before) / most, 200 * static_cast<double>(after) / most);
}

std::string share_drawing(double share) {
  return fmt::format(
      "<svg viewBox=\"0 0 200 34\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"share that is "
      "low-bit\"><rect "
      "x=\"0\" y=\"11\" width=\"200\" height=\"12\" rx=\"3\" fill=\"var(--float)\" opacity=\".35\"/><rect x=\"0\" "
      "y=\"11\" width=\"{:.1f}\" height=\"12\" rx=\"3\" fill=\"var(--accent)\"/></svg>",
      200 * std::clamp(share, 0.0, 1.0));
}

std::string accuracy_card(const HtmlReport& report, const std::string& name) {
  const Metric* reference = metric_of(report.float_evaluation, name);
  const Metric* other = metric_of(report.low_bit_evaluation, name);
  if (!other) return "";
  std::string heading = name;
  heading[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(heading[0])));
  const std::string samples = fmt::format("{} samples, 95 % interval", with_commas(report.low_bit_evaluation->samples));
  if (!reference || !is_share(name))
    return card(heading, escape_html(is_share(name) ? percent_text(other->value) : metric_text(name, *other)), samples);
  return card(heading, escape_html(percent_text(other->value)),
              fmt::format("float {}; {}", escape_html(percent_text(reference->value)), samples),
              interval_drawing(*reference, *other));
}

/// "loses 0.12 points", with a tone: within the float interval is good, below it is bad.
std::string change_sentence(const HtmlReport& report, const std::string& name) {
  const Metric* reference = metric_of(report.float_evaluation, name);
  const Metric* other = metric_of(report.low_bit_evaluation, name);
  if (name == "sqnr_db" && other)
    return fmt::format(" Its output follows the float model at {}.", escape_html(decibels_text(other->value)));
  if (name == "agreement" && other)
    return fmt::format(" It decides as the float model on {} of {} samples.", escape_html(percent_text(other->value)),
                       with_commas(report.low_bit_evaluation->samples));
  if (!reference || !other) return " Its accuracy was not measured: add --eval-data to see it here.";
  const double points = 100 * (other->value - reference->value);
  const char* tone = points >= -0.3 ? "good" : other->value >= reference->ci95.low ? "warn" : "bad";
  const std::string change = points <= -0.005  ? fmt::format("loses {:.2f} points", -points)
                             : points >= 0.005 ? fmt::format("gains {:.2f} points", points)
                                               : "loses nothing";
  return fmt::format(" It <b class=\"{}\">{}</b> of {} ({} against {}).", tone, change, escape_html(name),
                     escape_html(percent_text(other->value)), escape_html(percent_text(reference->value)));
}

}  // namespace

std::string verdict(const HtmlReport& report) {
  const std::string name = main_metric(report);
  const double times = report.low_bit_bytes > 0
                           ? static_cast<double>(report.float_bytes) / static_cast<double>(report.low_bit_bytes)
                           : 0;
  std::string text = fmt::format("<p class=\"verdict\">The low-bit model is <b>{:.1f} times smaller</b>.{}</p>\n",
                                 times, change_sentence(report, name));
  text += "<div class=\"cards\">\n" + accuracy_card(report, name);
  text += card("Size", escape_html(bytes_text(report.low_bit_bytes)),
               fmt::format("float {}", escape_html(bytes_text(report.float_bytes))),
               size_drawing(report.float_bytes, report.low_bit_bytes));
  text += card("Coverage", escape_html(percent_text(report.coverage.quantized_share_macs, 1)),
               fmt::format("of the multiply-adds; {} of the weight bytes",
                           escape_html(percent_text(report.coverage.quantized_share_bytes, 1))),
               share_drawing(report.coverage.quantized_share_macs));
  if (report.low_bit_evaluation && report.low_bit_evaluation->latency_ms_median > 0)
    text += card("Latency", escape_html(milliseconds_text(report.low_bit_evaluation->latency_ms_median)),
                 report.float_evaluation
                     ? fmt::format("one sample, median; float {}",
                                   escape_html(milliseconds_text(report.float_evaluation->latency_ms_median)))
                     : "one sample, median");
  text += card("Made in", escape_html(milliseconds_text(1000 * report.seconds)),
               fmt::format("{} samples; peak memory {}", with_commas(report.samples),
                           escape_html(bytes_text(report.peak_memory_bytes))));
  return text + "</div>\n";
}

namespace {

/// One rule's findings, the first (worst) of them in full, the others by name in a list that opens.
std::string rule_item(const std::vector<const Finding*>& found) {
  const Finding& first = *found.front();
  std::string item =
      fmt::format("<li class=\"attention\"><b>{}</b>: {}", escape_html(first.layer), escape_html(first.cause));
  if (!first.command.empty()) item += fmt::format("<br>Try <code>{}</code>", escape_html(first.command));
  if (!first.advice.empty()) item += fmt::format("<br>{}", escape_html(first.advice));
  if (found.size() > 1) {
    item +=
        fmt::format("<details><summary>and {} more layer{}</summary>", found.size() - 1, found.size() > 2 ? "s" : "");
    for (size_t i = 1; i < found.size(); ++i)
      item += fmt::format("{}<b>{}</b>: {}", i > 1 ? "<br>" : "", escape_html(found[i]->layer),
                          escape_html(found[i]->cause));
    item += "</details>";
  }
  return item + "</li>\n";
}

}  // namespace

std::string findings(const HtmlReport& report) {
  std::vector<std::vector<const Finding*>> rules;  // in the order of their first findings
  for (const Finding& finding : report.diagnosis.findings) {
    auto of_rule = std::find_if(rules.begin(), rules.end(),
                                [&](const auto& found) { return found.front()->rule == finding.rule; });
    if (of_rule == rules.end()) of_rule = rules.insert(rules.end(), std::vector<const Finding*>());
    of_rule->push_back(&finding);
  }
  std::string items;
  for (const auto& found : rules) items += rule_item(found);
  for (const std::string& note : report.notes) items += "<li>" + escape_html(note) + "</li>\n";
  if (items.empty()) return "";
  return "<h2>Findings</h2>\n<p>What stands out, and what to do about it.</p>\n<ul class=\"findings\">\n" + items +
         "</ul>\n";
}

}  // namespace lowbit::html
