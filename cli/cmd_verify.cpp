#include <cstdlib>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/data_flags.h"
#include "cli/output.h"
#include "lowbit/api/verify.h"
#include "lowbit/base/file.h"
#include "lowbit/base/text.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/table.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {
namespace {

/// $LOWBIT_PYTHON, the virtual environment of the build, or the system's.
std::string find_python() {
  const char* named = std::getenv("LOWBIT_PYTHON");
  if (named && *named) return named;
  return file_exists("build/venv/bin/python") ? "./build/venv/bin/python" : "python3";
}

Json differences_json(const std::vector<StepDifference>& values) {
  Json result = Json::array();
  for (const StepDifference& value : values)
    result.push_back({{"name", value.name},
                      {"step", json_number(value.step)},
                      {"max_steps", json_number(value.max_steps)},
                      {"share_different", json_number(value.share_different)},
                      {"elements", value.count}});
  return result;
}

Json to_json(const std::string& file, const VerifyResult& result, bool passed) {
  Json floats = Json::object();
  for (const auto& [op, count] : result.float_nodes) floats[op] = count;
  return {{"file", file},
          {"engine", result.engine},
          {"version", result.version},
          {"samples", result.samples},
          {"passed", passed},
          {"max_steps", json_number(result.worst_output_steps())},
          {"top1_agreement", json_number(result.top1_agreement)},
          {"outputs", differences_json(result.outputs)},
          {"outputs_unfused", differences_json(result.unfused)},
          {"outputs_by_default", differences_json(result.by_default)},
          {"top1_agreement_by_default", json_number(result.top1_agreement_by_default)},
          {"outputs_with_layers", differences_json(result.probed)},
          {"layers", differences_json(result.layers)},
          {"layers_change_outputs", result.probes_change_outputs},
          {"float_nodes", std::move(floats)},
          {"integer_nodes", result.integer_nodes}};
}

void add_rows(Table& table, const char* kind, const std::vector<StepDifference>& values) {
  for (const StepDifference& value : values)
    table.add_row({kind, value.name, fmt::format("{:.4g}", value.step), fmt::format("{:.3g}", value.max_steps),
                   percent_text(value.share_different, 3), with_commas(value.count)});
}

std::string to_text(const VerifyResult& result, double most_steps, bool passed) {
  Table table({{""}, {"value"}, {"step", kRight}, {"max steps", kRight}, {"different", kRight}, {"elements", kRight}});
  add_rows(table, "output", result.outputs);
  add_rows(table, "output, unfused", result.unfused);
  add_rows(table, "output, by default", result.by_default);
  add_rows(table, "output, with layers", result.probed);
  add_rows(table, "layer", result.layers);
  std::vector<std::string> floats;
  for (const auto& [op, count] : result.float_nodes) floats.push_back(fmt::format("{} x {}", count, printable(op, 60)));
  std::string text = table.text();
  if (result.probes_change_outputs)
    text += "reading out the layers changed the outputs: it kept the engine from fusing, so judge by the outputs\n";
  if (!result.by_default.empty())
    text += fmt::format(
        "by default the 8-bit products of this engine overflow on this processor, which has no VNNI: top-1 agrees on "
        "{} "
        "only (set its session option session.x64quantprecision to 1, or quantize with --weights uint8-sym)\n",
        percent_text(result.top1_agreement_by_default));
  text += fmt::format("{} {}: {} integer nodes; float: {}\n", result.engine, printable(result.version, 60),
                      result.integer_nodes, floats.empty() ? "none" : join(floats, ", "));
  text += fmt::format("{}: outputs differ by at most {:.3g} steps (allowed {:g}), top-1 agrees on {} of {} samples\n",
                      passed ? coloured("passed", 32) : coloured("failed", 31), result.worst_output_steps(), most_steps,
                      percent_text(result.top1_agreement), with_commas(result.samples));
  return text;
}

}  // namespace

int run_verify(const Arguments& rest) {
  CommandLine line("verify");
  std::string path;
  VerifyOptions options;
  DataFlags flags;
  double most_steps = 2;
  line.add_file("MODEL", path, "Low-bit model");
  line.app().add_option("--engine", options.engine, "ort (ONNX Runtime) or openvino")->required();
  add_data_options(line.app(), flags, "Inputs to use (default: random within the calibrated range)", false);
  line.app().add_option("--samples", options.samples, "Number of samples (default 16)")->check(CLI::PositiveNumber);
  line.app().add_option("--seed", options.seed, "Seed of the random inputs (default 1)");
  line.app()
      .add_option("--max-steps", most_steps, "Exit 1 if an output differs by more steps than this (default 2)")
      ->check(CLI::NonNegativeNumber);
  if (!line.parse(rest)) return 0;
  set_subject(path);
  options.python = find_python();
  std::unique_ptr<DataSet> data;
  if (flags.given()) data = open_data_for(path, flags);
  options.data = data.get();
  ThreadPool threads(line.threads);
  const VerifyResult result = verify_model(path, threads, options);
  const bool passed = result.worst_output_steps() <= most_steps;
  print(line.json ? json_text(to_json(path, result, passed)) : to_text(result, most_steps, passed));
  return passed ? 0 : 1;
}

}  // namespace lowbit::cli
