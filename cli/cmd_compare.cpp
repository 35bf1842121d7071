#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/data_flags.h"
#include "cli/output.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {

int run_compare(const Arguments& rest) {
  CommandLine line("compare");
  std::string float_path, low_bit_path;
  DataFlags flags;
  line.add_file("FLOAT", float_path, "Float model");
  line.add_file("LOWBIT", low_bit_path, "Low-bit model made of it");
  add_data_options(line.app(), flags, "Data to compare on; 64 samples are plenty", true);
  if (!line.parse(rest)) return 0;
  set_subject(float_path);
  const Model float_model = open_model(float_path);
  set_subject(low_bit_path);
  const Model low_bit = open_model(low_bit_path);
  const auto data = open_data_for(float_path, flags);
  ThreadPool threads(line.threads);
  Comparison comparison;
  {
    ProgressBar bar(line.quiet, static_cast<double>(data->size()), "samples");
    comparison =
        compare_models(float_model, low_bit, *data, threads, [&](double share) { bar.update("compare", share); });
  }
  if (line.json) {
    Json layers = Json::array();
    for (const LayerError& layer : comparison.layers) layers.push_back(to_json(layer));
    print(json_text(
        {{"samples", comparison.samples}, {"output", to_json(comparison.output)}, {"layers", std::move(layers)}}));
    return 0;
  }
  if (!line.quiet) note(fmt::format("{} samples of {}", comparison.samples, data->describe()));
  print(layer_errors_text(comparison.output, comparison.layers));
  return 0;
}

}  // namespace lowbit::cli
