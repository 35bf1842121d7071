#include "lowbit/report/search_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/table.h"

namespace lowbit {
namespace {

Json optional_json(const std::optional<double>& value) { return value ? json_number(*value) : Json(nullptr); }

Json interval_json(const Interval& interval) {
  return Json::array({json_number(interval.low), json_number(interval.high)});
}

Json point_json(const SearchPoint& point) {
  return {{"number", point.number},
          {"why", point.why},
          {"summary", point.summary},
          {"bytes", point.bytes},
          {"ms", point.ms > 0 ? json_number(point.ms) : Json(nullptr)},
          {"drop", json_number(point.drop)},
          {"ci95", interval_json(point.ci95)},
          {"loss", json_number(point.loss)},
          {"predicted_loss", json_number(point.predicted_loss)},
          {"meets", point.meets},
          {"on_front", point.on_front},
          {"picked", point.picked},
          {"systems", point.systems}};
}

Json numbers(const std::vector<double>& values) {
  Json result = Json::array();
  for (const double value : values) result.push_back(json_number(value));
  return result;
}

}  // namespace

Json to_json(const SearchReport& report) {
  Json candidates = Json::array(), layers = Json::array(), front = Json::array();
  for (const SearchPoint& point : report.points) candidates.push_back(point_json(point));
  for (const SearchLayer& layer : report.layers)
    layers.push_back({{"name", layer.name},
                      {"op", layer.op},
                      {"chosen", layer.candidates[layer.chosen]},
                      {"candidates", layer.candidates},
                      {"losses", numbers(layer.losses)},
                      {"bytes", numbers(layer.bytes)},
                      {"ms", numbers(layer.ms)}});
  for (const SearchReport::Predicted& at : report.predicted_front)
    front.push_back({{"bytes", json_number(at.bytes)}, {"loss", json_number(at.loss)}});
  return {{"target",
           {{"max_drop", optional_json(report.max_drop)},
            {"max_bytes", report.max_bytes ? Json(*report.max_bytes) : Json(nullptr)},
            {"max_ms", optional_json(report.max_ms)},
            {"measure", report.measure},
            {"unit", report.unit}}},
          {"met", report.met},
          {"verdict", report.verdict},
          {"explanation", report.sentence},
          {"final",
           {{"drop", json_number(report.final_drop)},
            {"ci95", interval_json(report.final_ci95)},
            {"samples", report.final_samples},
            {"tests", report.final_tests}}},
          {"split",
           {{"how", report.split},
            {"calibration", report.calibration_samples},
            {"selection", report.selection_samples},
            {"final", report.final_samples}}},
          {"evaluations", report.evaluations},
          {"searched_layers", report.layer_count},
          {"layer_candidate_pairs", report.pairs},
          {"optimality_gap", json_number(report.gap)},
          {"budget_spent", report.budget_spent},
          {"resumed", report.resumed},
          {"causes", report.causes},
          {"blockers", report.blockers},
          {"candidates", std::move(candidates)},
          {"predicted_front", std::move(front)},
          {"sensitivity", {{"loss", report.loss_name}, {"layers", std::move(layers)}}}};
}

std::string search_text(const SearchReport& report) {
  Table table({{"no."},
               {"bytes", kRight},
               {"lost", kRight},
               {"95 %", kRight},
               {"loss", kRight},
               {"predicted", kRight},
               {"systems"},
               {"why"}});
  for (const SearchPoint& point : report.points)
    table.add_row({fmt::format("{}{}", point.number,
                               point.picked     ? " *"
                               : point.on_front ? " ."
                                                : ""),
                   with_commas(point.bytes), fmt::format("{:.2f}", point.drop),
                   fmt::format("{:.2f} .. {:.2f}", point.ci95.low, point.ci95.high), fmt::format("{:.4g}", point.loss),
                   fmt::format("{:.4g}", point.predicted_loss), point.summary, point.why});
  std::string text = table.text();
  text += fmt::format("(* chosen, . on the Pareto front; lost: {}; loss: {}; --pick NUMBER takes another)\n",
                      report.unit, report.loss_name);
  text += fmt::format("{} evaluations for {} layers x {} candidates; {}\n", report.evaluations, report.layer_count,
                      report.layer_count > 0 ? report.pairs / report.layer_count : 0, report.split);
  for (const std::string& cause : report.causes) text += "cause: " + printable(cause, 400) + "\n";
  for (const std::string& note : report.notes) text += "note: " + printable(note, 400) + "\n";
  text += fmt::format("target {}: {}\n", report.verdict, report.sentence);
  for (const std::string& blocker : report.blockers) text += "held back by " + printable(blocker, 300) + "\n";
  return text;
}

}  // namespace lowbit
