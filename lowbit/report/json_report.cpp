#include "lowbit/report/json_report.h"

#include <cmath>

namespace lowbit {

Json json_number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json to_json(const TensorError& error) {
  return {{"sqnr_db", json_number(error.sqnr_db)},
          {"mse", json_number(error.mse)},
          {"cosine", json_number(error.cosine)},
          {"max_abs", json_number(error.max_abs)},
          {"clipped_share", json_number(error.clipped_share)}};
}

Json to_json(const LayerDecision& layer) {
  const bool measured = layer.low_bit && layer.float_weight_bytes > 0;
  return {{"name", layer.name},
          {"op", layer.op},
          {"weights", layer.weights},
          {"activations", layer.activations},
          {"low_bit", layer.low_bit},
          {"reason", layer.reason},
          {"sqnr_db", measured ? json_number(layer.weight_error.sqnr_db) : Json(nullptr)},
          {"clipped_share", json_number(layer.weight_error.clipped_share)},
          {"macs", layer.macs},
          {"weight_bytes", layer.weight_bytes},
          {"float_weight_bytes", layer.float_weight_bytes},
          {"samples", layer.samples}};
}

Json to_json(const Coverage& coverage) {
  Json kept = Json::array();
  for (const LayerDecision& layer : coverage.layers)
    if (!layer.low_bit) kept.push_back({{"name", layer.name}, {"op", layer.op}, {"reason", layer.reason}});
  return {{"quantized_share_macs", json_number(coverage.quantized_share_macs)},
          {"quantized_share_bytes", json_number(coverage.quantized_share_bytes)},
          {"kept", std::move(kept)}};
}

Json to_json(const ModelEvaluation& evaluation) {
  Json metrics = Json::object(), intervals = Json::object();
  for (const auto& [name, metric] : evaluation.metrics) {
    metrics[name] = json_number(metric.value);
    intervals[name] = {json_number(metric.ci95.low), json_number(metric.ci95.high)};
  }
  return {{"file", evaluation.file},
          {"engine", evaluation.engine},
          {"samples", evaluation.samples},
          {"metrics", std::move(metrics)},
          {"ci95", std::move(intervals)},
          {"latency_ms_median", json_number(evaluation.latency_ms_median)},
          {"file_bytes", evaluation.file_bytes},
          {"note", evaluation.note}};
}

Json to_json(const LayerError& layer) {
  return {{"name", layer.name},
          {"op", layer.op},
          {"value", layer.value},
          {"sqnr_db", json_number(layer.accumulated.sqnr_db)},
          {"cosine", json_number(layer.accumulated.cosine)},
          {"max_abs", json_number(layer.accumulated.max_abs)},
          {"mse", json_number(layer.accumulated.mse)},
          {"clipped_share", json_number(layer.local.clipped_share)},
          {"local", to_json(layer.local)},
          {"cause", layer.cause},
          {"remedy", layer.remedy}};
}

Json to_json(const BenchResult& result) {
  Json json = {{"file", result.file},
               {"engine", result.engine},
               {"threads", result.threads},
               {"ms_min", json_number(result.ms_min)},
               {"ms_median", json_number(result.ms_median)},
               {"ms_p99", json_number(result.ms_p99)},
               {"per_second", json_number(result.per_second)},
               {"peak_memory_bytes", result.peak_memory_bytes},
               {"load_ms", json_number(result.load_ms)},
               {"macs", result.macs},
               {"gops", json_number(result.ops_per_second * 1e-9)},
               {"share_of_peak", json_number(result.share_of_peak)},
               {"arena_bytes", result.arena_bytes},
               {"plan_weight_bytes", result.weight_bytes},
               {"reference_steps", result.reference_steps}};
  if (!result.note.empty()) json["note"] = result.note;
  if (result.layers.empty()) return json;
  json["layers"] = Json::array();
  for (const BenchResult::Layer& layer : result.layers)
    json["layers"].push_back({{"name", layer.name},
                              {"op", layer.op},
                              {"ms_median", json_number(layer.ms_median)},
                              {"macs", layer.macs},
                              {"kernel", layer.kernel},
                              {"note", layer.note},
                              {"threads", layer.threads},
                              {"bytes", layer.bytes},
                              {"share_of_peak", json_number(layer.share_of_peak)}});
  return json;
}

Json to_json(const Finding& finding) {
  return {{"rule", finding.rule},     {"layer", finding.layer},   {"cause", finding.cause},
          {"remedy", finding.remedy}, {"advice", finding.advice}, {"command", finding.command}};
}

namespace {

Json to_json(const LayerFigures& layer) {
  return {{"name", layer.name},
          {"op", layer.op},
          {"value", layer.value},
          {"range_use", json_number(layer.range_use)},
          {"codes_used", layer.codes_used},
          {"codes", layer.codes},
          {"clipped_share", json_number(layer.clipped_share)},
          {"saturated_share", json_number(layer.saturated_share)},
          {"weight_imbalance", json_number(layer.weight_imbalance)},
          {"channel_imbalance", json_number(layer.channel_imbalance)},
          {"widest_channel", layer.widest_channel},
          {"dead_channels", layer.dead_channels},
          {"tail_deviations", json_number(layer.tail)},
          {"mean_shift_steps", json_number(layer.mean_shift)}};
}

Json decibels(const std::optional<double>& db) { return db ? json_number(*db) : Json(nullptr); }

}  // namespace

Json to_json(const Diagnosis& diagnosis) {
  Json findings = Json::array(), figures = Json::array(), nodes = Json::array();
  for (const Finding& finding : diagnosis.findings) findings.push_back(to_json(finding));
  for (const LayerFigures& layer : diagnosis.layers) figures.push_back(to_json(layer));
  for (const DrawnNode& node : diagnosis.graph) {
    Json inputs = Json::array();
    for (const int32_t input : node.inputs) inputs.push_back(diagnosis.graph[static_cast<size_t>(input)].name);
    nodes.push_back({{"name", node.name},
                     {"op", node.op},
                     {"inputs", std::move(inputs)},
                     {"weights", node.weights},
                     {"activations", node.activations},
                     {"local_sqnr_db", decibels(node.local_db)},
                     {"sqnr_db", decibels(node.accumulated_db)}});
  }
  Json json;
  if (diagnosis.weights_only) json["weights_only"] = to_json(*diagnosis.weights_only);
  if (diagnosis.activations_only) json["activations_only"] = to_json(*diagnosis.activations_only);
  json["findings"] = std::move(findings);
  json["figures"] = std::move(figures);
  json["propagation"] = std::move(nodes);
  json["incomparable"] = diagnosis.incomparable;
  json["rescaled_values"] = diagnosis.rescaled;
  return json;
}

std::string json_text(const Json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace lowbit
