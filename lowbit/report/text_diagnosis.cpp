#include "lowbit/report/text_diagnosis.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/table.h"
#include "lowbit/report/text_report.h"

namespace lowbit {
namespace {

constexpr double kMuchWorseDb = 3;  // twice the error
constexpr double kBreaksDb = 6;     // a layer that halves the SQNR amplitude

std::string times_text(double times) { return times > 0 ? fmt::format("{:.1f}x", times) : "-"; }

}  // namespace

std::string halves_sentence(const Diagnosis& diagnosis) {
  if (!diagnosis.weights_only || !diagnosis.activations_only) return "";
  const double weights = diagnosis.weights_only->sqnr_db, activations = diagnosis.activations_only->sqnr_db;
  const char* verdict = weights + kMuchWorseDb < activations   ? "The weights do most of the damage"
                        : activations + kMuchWorseDb < weights ? "The activations do most of the damage"
                                                               : "Weights and activations do about the same damage";
  return fmt::format("{}: the output is at {} with low-bit weights only, at {} with low-bit activations only.", verdict,
                     decibels_text(weights), decibels_text(activations));
}

std::string entry_sentence(const Diagnosis& diagnosis) {
  const DrawnNode* worst = nullptr;
  double most = kBreaksDb, before_worst = 0;
  for (const DrawnNode& node : diagnosis.graph) {
    if (!node.accumulated_db || !std::isfinite(*node.accumulated_db)) continue;
    double before = INFINITY;
    for (const int32_t input : node.inputs)
      if (const auto& db = diagnosis.graph[static_cast<size_t>(input)].accumulated_db) before = std::min(before, *db);
    if (!std::isfinite(before) || before - *node.accumulated_db <= most) continue;
    most = before - *node.accumulated_db;
    before_worst = before;
    worst = &node;
  }
  if (!worst) return "";
  return fmt::format("The error comes in at {}: {} before it, {} behind it{}.", printable(worst->name, 80),
                     decibels_text(before_worst), decibels_text(*worst->accumulated_db),
                     worst->local_db ? fmt::format(" (by itself it is at {})", decibels_text(*worst->local_db)) : "");
}

std::string figures_text(std::span<const LayerFigures> layers) {
  Table table({{"layer"},
               {"range used", kRight},
               {"codes used", kRight},
               {"clipped", kRight},
               {"saturated", kRight},
               {"weights, widest channel", kRight},
               {"values, widest channel", kRight},
               {"tail", kRight},
               {"shift", kRight},
               {"dead", kRight}});
  for (const LayerFigures& layer : layers) {
    const bool low_bit = layer.codes > 0;
    table.add_row({layer.name, low_bit ? percent_text(layer.range_use, 0) : "-",
                   low_bit ? fmt::format("{} of {}", layer.codes_used, layer.codes) : "-",
                   low_bit ? percent_text(layer.clipped_share) : "-",
                   low_bit ? percent_text(layer.saturated_share) : "-", times_text(layer.weight_imbalance),
                   times_text(layer.channel_imbalance), layer.tail > 0 ? fmt::format("{:.1f} sd", layer.tail) : "-",
                   layer.mean_shift > 0 ? fmt::format("{:.2f} steps", layer.mean_shift) : "-",
                   layer.dead_channels > 0 ? std::to_string(layer.dead_channels) : "-"});
  }
  return table.text();
}

std::string findings_text(const Diagnosis& diagnosis) {
  std::string text;
  for (const Finding& finding : diagnosis.findings) {
    text += fmt::format("  {}: {}  [{}]\n", printable(finding.layer, 80), printable(finding.cause, 400), finding.rule);
    if (!finding.command.empty())
      text += "      try: " + printable(finding.command, 1000) + "\n";
    else if (!finding.remedy.empty())
      text += "      try: " + printable(join(finding.remedy, " "), 200) + "\n";
    if (!finding.advice.empty()) text += "      " + printable(finding.advice, 300) + "\n";
  }
  if (!text.empty()) text = "Likely causes, worst layer first:\n" + text;
  if (!diagnosis.incomparable.empty())
    text += fmt::format("not compared one by one, since a method wrote them in another basis: {}\n",
                        printable(join(diagnosis.incomparable, ", "), 400));
  if (diagnosis.rescaled > 0)
    text += fmt::format("{} values were rescaled by channel by a method; they are compared after undoing that\n",
                        diagnosis.rescaled);
  return text;
}

}  // namespace lowbit
