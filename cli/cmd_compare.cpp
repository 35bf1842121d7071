#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/data_flags.h"
#include "cli/output.h"
#include "cli/repair_command.h"
#include "lowbit/api/attribution.h"
#include "lowbit/api/compare.h"
#include "lowbit/api/quantize.h"
#include "lowbit/base/text.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/text_diagnosis.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {
namespace {

constexpr int64_t kAttributionSamples = 32;
constexpr int64_t kCalibrationSamples = 256;  // enough to know a mean and a deviation

std::string attribution_text(const AttributionAgreement& maps) {
  const auto interval = [](const Metric& metric) {
    return fmt::format("{:.3f} ({:.3f} .. {:.3f})", metric.value, metric.ci95.low, metric.ci95.high);
  };
  return fmt::format(
      "\nWhat the decisions rest on ({}, {} samples, {} cells each): rank correlation {}, cosine {}, the same most "
      "important cells {}; least alike: {} ({:.3f})\n",
      maps.method, maps.samples, maps.cells, interval(maps.rank_correlation), interval(maps.cosine),
      metric_text("agreement", maps.top_overlap), printable(maps.least_alike, 100), maps.least_correlation);
}

std::string comparison_text(const Comparison& comparison) {
  const Diagnosis& diagnosis = comparison.diagnosis;
  std::string text = layer_errors_text(comparison.output, comparison.layers) + "\n";
  for (const std::string& sentence : {halves_sentence(diagnosis), entry_sentence(diagnosis)})
    if (!sentence.empty()) text += sentence + "\n";
  text += "\n" + figures_text(diagnosis.layers);
  const std::string findings = findings_text(diagnosis);
  return findings.empty() ? text : text + "\n" + findings;
}

Json comparison_json(const Comparison& comparison) {
  Json layers = Json::array();
  for (const LayerError& layer : comparison.layers) layers.push_back(to_json(layer));
  Json json = {{"samples", comparison.samples}, {"output", to_json(comparison.output)}, {"layers", std::move(layers)}};
  json.update(to_json(comparison.diagnosis));
  return json;
}

}  // namespace

int run_compare(const Arguments& rest) {
  CommandLine line("compare");
  std::string float_path, low_bit_path, calibration_path;
  DataFlags flags;
  line.add_file("FLOAT", float_path, "Float model");
  line.add_file("LOWBIT", low_bit_path, "Low-bit model made of it");
  add_data_options(line.app(), flags, "Data to compare on; 64 samples are plenty", true);
  line.app()
      .add_option("--calibration", calibration_path,
                  "Data that LOWBIT was calibrated on: tells whether those of --data are like them")
      ->type_name("DATA");
  std::string attribution;
  line.app()
      .add_option("--attribution", attribution,
                  "Also compare what the decisions rest on, on up to 32 samples: occlusion or gradients")
      ->type_name("METHOD");
  if (!line.parse(rest)) return 0;
  if (!attribution.empty()) parse_attribution(attribution);
  set_subject(float_path);
  const Model float_model = open_model(float_path);
  set_subject(low_bit_path);
  const Model low_bit = open_model(low_bit_path);
  const auto data = open_data_for(float_path, flags);
  StatisticsSet calibration;
  if (!calibration_path.empty()) {
    DataFlags calibration_flags = flags;
    calibration_flags.data = calibration_path;
    calibration_flags.labels.clear();
    calibration_flags.slice.clear();
    calibration =
        input_statistics(float_model.graph, *open_data_for(float_path, calibration_flags), kCalibrationSamples);
  }
  ThreadPool threads(line.threads);
  Comparison comparison;
  {
    ProgressBar bar(line.quiet, static_cast<double>(data->size()), "samples");
    CompareOptions options;
    options.progress = [&](double share) { bar.update("compare", share); };
    if (!calibration_path.empty()) options.calibration = &calibration;
    comparison = compare_models(float_model, low_bit, *data, threads, options);
  }
  std::optional<AttributionAgreement> maps;
  if (!attribution.empty()) {
    ProgressBar bar(line.quiet, static_cast<double>(std::min(kAttributionSamples, data->size())), "samples");
    maps = compare_attributions(float_model, low_bit, *data, threads, parse_attribution(attribution),
                                kAttributionSamples, [&](double share) { bar.update("attribution", share); });
  }
  DataFlags repair_data = flags;
  if (!calibration_path.empty()) repair_data.data = calibration_path, repair_data.slice.clear();
  add_commands(arguments_for(float_path, low_bit_path, low_bit.graph, repair_data),
               applied_methods(low_bit_path, low_bit.graph), comparison.diagnosis);
  if (line.json) {
    Json json = comparison_json(comparison);
    if (maps) json["attribution"] = to_json(*maps);
    print(json_text(json));
    return 0;
  }
  if (!line.quiet) note(fmt::format("{} samples of {}", comparison.samples, data->describe()));
  print(comparison_text(comparison));
  if (maps) print(attribution_text(*maps));
  return 0;
}

}  // namespace lowbit::cli
