#include "lowbit/report/shifted_report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/html_report.h"
#include "lowbit/report/table.h"
#include "lowbit/report/text_report.h"

namespace lowbit {
namespace {

constexpr double kFullColour = 0.05;  // a difference of five points

std::string share_text(const std::optional<Metric>& metric) { return metric ? percent_text(metric->value) : "-"; }

std::string points_text(const std::optional<Metric>& metric, bool interval) {
  if (!metric) return "-";
  std::string text = fmt::format("{:+.2f}", 100 * metric->value);
  if (interval) text += fmt::format(" ({:+.2f} .. {:+.2f})", 100 * metric->ci95.low, 100 * metric->ci95.high);
  return text;
}

/// What a cell shows: the difference in points, without labels the agreement.
std::string cell_text(const ShiftedRow& row) {
  return row.difference ? points_text(row.difference, false) : percent_text(row.agreement.value, 1);
}

std::vector<int> strengths_of(const ShiftedEvaluation& evaluation) {
  std::vector<int> strengths;
  for (const ShiftedRow& row : evaluation.cells)
    if (std::find(strengths.begin(), strengths.end(), row.strength) == strengths.end())
      strengths.push_back(row.strength);
  return strengths;
}

const ShiftedRow* cell_of(const ShiftedEvaluation& evaluation, const std::string& kind, int strength) {
  for (const ShiftedRow& row : evaluation.cells)
    if (row.corruption == kind && row.strength == strength) return &row;
  return nullptr;
}

Json metric_json(const std::optional<Metric>& metric) {
  if (!metric) return nullptr;
  return {{"value", json_number(metric->value)},
          {"ci95", {json_number(metric->ci95.low), json_number(metric->ci95.high)}}};
}

Json to_json(const ShiftedRow& row) {
  Json json = {{"corruption", row.corruption}, {"strength", row.strength ? Json(row.strength) : Json("mean")}};
  if (row.corruption == "clean") json.erase("strength");
  json["float"] = metric_json(row.reference);
  json["low_bit"] = metric_json(row.low_bit);
  json["difference"] = metric_json(row.difference);
  json["agreement"] = metric_json(row.agreement);
  json["sqnr_db"] = json_number(row.sqnr_db);
  return json;
}

}  // namespace

std::string shifted_text(const ShiftedEvaluation& evaluation) {
  std::vector<Table::Column> columns = {
      {"damage"}, {"float", kRight}, {"low-bit", kRight}, {"difference, points (95 %)", kRight}, {"agreement", kRight}};
  const std::vector<int> strengths = strengths_of(evaluation);
  for (const int strength : strengths) columns.push_back({fmt::format("at {}", strength), kRight});
  Table table(std::move(columns));
  const auto add = [&](const ShiftedRow& row, const char* name, bool cells) {
    std::vector<std::string> line = {name ? name : row.corruption, share_text(row.reference), share_text(row.low_bit),
                                     points_text(row.difference, true), percent_text(row.agreement.value)};
    for (const int strength : strengths) {
      const ShiftedRow* cell = cells ? cell_of(evaluation, row.corruption, strength) : nullptr;
      line.push_back(cell ? cell_text(*cell) : "");
    }
    table.add_row(std::move(line));
  };
  add(evaluation.clean, "(as they are)", false);
  for (const ShiftedRow& row : evaluation.kinds) add(row, nullptr, true);
  add(evaluation.overall, "(mean of all)", false);
  return fmt::format("{} against {} on damaged data, {} samples; mean over the strengths, then each strength:\n",
                     printable(evaluation.file, 100), printable(evaluation.reference_file, 100),
                     with_commas(evaluation.samples)) +
         table.text();
}

Json to_json(const ShiftedEvaluation& evaluation) {
  Json kinds = Json::array(), cells = Json::array();
  for (const ShiftedRow& row : evaluation.kinds) kinds.push_back(to_json(row));
  for (const ShiftedRow& row : evaluation.cells) cells.push_back(to_json(row));
  return {{"reference", evaluation.reference_file},
          {"file", evaluation.file},
          {"samples", evaluation.samples},
          {"clean", to_json(evaluation.clean)},
          {"overall", to_json(evaluation.overall)},
          {"kinds", std::move(kinds)},
          {"cells", std::move(cells)}};
}

namespace html {
namespace {

std::string coloured_cell(const ShiftedRow& row) {
  const double worse = row.difference ? -row.difference->value : 1 - row.agreement.value;
  const double strength = std::clamp(std::abs(worse) / kFullColour, 0.0, 1.0);
  return fmt::format("<td class=\"n\" style=\"background:color-mix(in srgb, var({}) {:.0f}%, transparent)\">{}</td>",
                     worse > 0 ? "--bad" : "--good", 55 * strength, escape_html(cell_text(row)));
}

std::string row_html(const ShiftedEvaluation& evaluation, const ShiftedRow& row, const std::string& name,
                     const std::vector<int>& strengths, bool cells) {
  std::string html = fmt::format(
      "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
      "class=\"n\">{}</td>",
      escape_html(name), escape_html(share_text(row.reference)), escape_html(share_text(row.low_bit)),
      escape_html(points_text(row.difference, true)), escape_html(percent_text(row.agreement.value, 1)));
  for (const int strength : strengths) {
    const ShiftedRow* cell = cells ? cell_of(evaluation, row.corruption, strength) : nullptr;
    html += cell ? coloured_cell(*cell) : "<td></td>";
  }
  return html + "</tr>\n";
}

}  // namespace

std::string shifted(const ShiftedEvaluation& evaluation) {
  if (evaluation.cells.empty()) return "";
  const std::vector<int> strengths = strengths_of(evaluation);
  std::string head =
      "<th scope=\"col\">Damage</th><th scope=\"col\" class=\"n\">Float</th><th scope=\"col\" "
      "class=\"n\">Low-bit</th><th "
      "scope=\"col\" class=\"n\">Difference (95 %)</th><th scope=\"col\" class=\"n\">Agree</th>";
  for (const int strength : strengths) head += fmt::format("<th scope=\"col\" class=\"n\">{}</th>", strength);
  std::string rows = row_html(evaluation, evaluation.clean, "as they are", strengths, false);
  for (const ShiftedRow& row : evaluation.kinds) rows += row_html(evaluation, row, row.corruption, strengths, true);
  rows += row_html(evaluation, evaluation.overall, "mean of all", strengths, false);
  const bool labelled = evaluation.clean.difference.has_value();
  return fmt::format(
      "<section><h2>On damaged data</h2>\n<p>{} samples, damaged in {} ways at strengths 1 to 5 before both models see "
      "them. The columns at the right show {} at each strength.</p>\n<div class=\"scroll\"><table "
      "class=\"shifted\"><thead><tr>{}</tr></thead><tbody>\n{}</tbody></table></div></section>\n",
      with_commas(evaluation.samples), evaluation.kinds.size(),
      labelled ? "the difference in points, low-bit minus float," : "on how many both decide alike", head, rows);
}

}  // namespace html
}  // namespace lowbit
