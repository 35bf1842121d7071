#include "lowbit/report/text_report.h"

#include <cmath>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/file.h"
#include "lowbit/base/text.h"
#include "lowbit/report/table.h"

namespace lowbit {
namespace {

std::string number(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "-";
}

std::string short_number(double value) { return std::isfinite(value) ? fmt::format("{:.3g}", value) : "-"; }

std::string size_change(const LayerDecision& layer) {
  if (layer.float_weight_bytes == 0) return "";
  if (!layer.low_bit) return bytes_text(layer.float_weight_bytes);
  return bytes_text(layer.float_weight_bytes) + " -> " + bytes_text(layer.weight_bytes);
}

bool has_low_bit_weights(const LayerDecision& layer) { return layer.low_bit && layer.float_weight_bytes > 0; }

}  // namespace

std::string decibels_text(double db) {
  if (std::isnan(db)) return "-";
  if (std::isinf(db)) return db > 0 ? "exact" : "-inf";
  return fmt::format("{:.1f} dB", db);
}

std::string percent_text(double share, int digits) {
  return std::isfinite(share) ? fmt::format("{:.{}f} %", 100 * share, digits) : "-";
}

std::string milliseconds_text(double ms) {
  if (!std::isfinite(ms)) return "-";
  if (ms >= 1000) return fmt::format("{:.2f} s", ms / 1000);
  return ms >= 100 ? fmt::format("{:.0f} ms", ms) : fmt::format("{:.3g} ms", ms);
}

bool is_share(const std::string& metric_name) {
  static const std::set<std::string> kShares = {"accuracy", "top5", "precision", "recall", "f1", "agreement", "auc"};
  return kShares.contains(metric_name);
}

std::string metric_text(const std::string& name, const Metric& metric) {
  const bool has_interval = metric.ci95.low != metric.ci95.high;
  if (is_share(name)) {
    std::string text = percent_text(metric.value);
    if (has_interval) text += fmt::format(" ({:.2f} .. {:.2f})", 100 * metric.ci95.low, 100 * metric.ci95.high);
    return text;
  }
  if (name.ends_with("_db")) return decibels_text(metric.value);
  std::string text = fmt::format("{:.4g}", metric.value);
  if (has_interval) text += fmt::format(" ({:.4g} .. {:.4g})", metric.ci95.low, metric.ci95.high);
  return text;
}

std::string coverage_text(const Coverage& coverage) {
  Table table({{"layer"},
               {"operator", Table::Align::left, 24},
               {"weights", Table::Align::left, 20},
               {"activations", Table::Align::left, 20},
               {"multiply-adds", kRight},
               {"bytes", kRight},
               {"SQNR", kRight},
               {"note", Table::Align::left, 72}});
  for (const LayerDecision& layer : coverage.layers)
    table.add_row({layer.name, layer.op, layer.weights, layer.activations, layer.macs ? with_commas(layer.macs) : "",
                   size_change(layer), has_low_bit_weights(layer) ? decibels_text(layer.weight_error.sqnr_db) : "",
                   layer.low_bit ? layer.reason : "kept: " + layer.reason});
  return table.text() + fmt::format("low-bit: {} of the multiply-adds, {} of the weight bytes\n",
                                    percent_text(coverage.quantized_share_macs),
                                    percent_text(coverage.quantized_share_bytes));
}

std::string evaluations_text(std::span<const ModelEvaluation> models) {
  std::vector<Table::Column> columns = {{"", Table::Align::left, 48}};
  std::set<std::string> names;
  for (const ModelEvaluation& model : models) {
    columns.push_back({shorten(printable(name_of(model.file)), 40), kRight, 40});
    for (const auto& [name, metric] : model.metrics) names.insert(name);
  }
  Table table(std::move(columns));
  const auto add = [&](const std::string& heading, const auto& cell) {
    std::vector<std::string> cells = {heading};
    for (const ModelEvaluation& model : models) cells.push_back(cell(model));
    table.add_row(std::move(cells));
  };
  add("samples", [](const ModelEvaluation& model) { return with_commas(model.samples); });
  for (const std::string& name : names)
    add(name, [&](const ModelEvaluation& model) {
      const auto found = model.metrics.find(name);
      return found == model.metrics.end() ? std::string("-") : metric_text(name, found->second);
    });
  add("latency (median)", [](const ModelEvaluation& model) { return milliseconds_text(model.latency_ms_median); });
  add("file", [](const ModelEvaluation& model) { return bytes_text(model.file_bytes); });
  add("engine", [](const ModelEvaluation& model) { return model.engine; });
  return table.text();
}

std::string layer_errors_text(const TensorError& output, std::span<const LayerError> layers) {
  Table table({{"layer"},
               {"operator", Table::Align::left, 24},
               {"SQNR so far", kRight},
               {"this layer alone", kRight},
               {"cosine", kRight},
               {"max error", kRight},
               {"clipped", kRight}});
  table.add_row({"(network output)", "", decibels_text(output.sqnr_db), "", number(output.cosine, 6),
                 short_number(output.max_abs), ""});
  for (const LayerError& layer : layers)
    table.add_row({layer.name, layer.op, decibels_text(layer.accumulated.sqnr_db), decibels_text(layer.local.sqnr_db),
                   number(layer.accumulated.cosine, 6), short_number(layer.accumulated.max_abs),
                   percent_text(layer.local.clipped_share)});
  return table.text();
}

std::string bench_text(std::span<const BenchResult> results) {
  Table table({{"model"},
               {"engine", Table::Align::left, 24},
               {"threads", kRight},
               {"min", kRight},
               {"median", kRight},
               {"p99", kRight},
               {"per second", kRight},
               {"load", kRight},
               {"arena", kRight},
               {"peak memory", kRight},
               {"GOP/s", kRight},
               {"of peak", kRight}});
  const auto share = [](double value) { return value > 0 ? percent_text(value, 1) : std::string("-"); };
  for (const BenchResult& result : results)
    table.add_row({result.file, result.engine, std::to_string(result.threads), milliseconds_text(result.ms_min),
                   milliseconds_text(result.ms_median), milliseconds_text(result.ms_p99), number(result.per_second, 1),
                   milliseconds_text(result.load_ms), result.arena_bytes ? bytes_text(result.arena_bytes) : "-",
                   bytes_text(result.peak_memory_bytes),
                   result.ops_per_second > 0 ? number(result.ops_per_second * 1e-9, 1) : "-",
                   share(result.share_of_peak)});
  std::string text = table.text();
  for (const BenchResult& result : results) {
    if (!result.note.empty()) text += fmt::format("{}: {}\n", printable(result.file, 200), printable(result.note, 400));
    if (result.layers.empty()) continue;
    double total = 0;
    for (const BenchResult::Layer& layer : result.layers) total += layer.ms_median;
    Table layers({{"layer"},
                  {"operator", Table::Align::left, 24},
                  {"median", kRight},
                  {"share", kRight},
                  {"threads", kRight},
                  {"multiply-adds", kRight},
                  {"GOP/s", kRight},
                  {"of peak", kRight},
                  {"kernel", Table::Align::left, 60},
                  {"note", Table::Align::left, 60}});
    for (const BenchResult::Layer& layer : result.layers)
      layers.add_row(
          {layer.name, layer.op, milliseconds_text(layer.ms_median),
           percent_text(total > 0 ? layer.ms_median / total : 0, 1), std::to_string(layer.threads),
           layer.macs ? with_commas(layer.macs) : "",
           layer.macs && layer.ms_median > 0 ? number(2e-6 * static_cast<double>(layer.macs) / layer.ms_median, 1) : "",
           layer.macs ? share(layer.share_of_peak) : "", layer.kernel, layer.note});
    text += "\n" + printable(result.file, 200) + "\n" + layers.text(2);
  }
  return text;
}

}  // namespace lowbit
