#include <fmt/format.h>

#include "cli/automatic.h"
#include "cli/command_line.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/quantize_options.h"
#include "cli/repair_command.h"
#include "cli/shifted_flags.h"
#include "lowbit/api/compare.h"
#include "lowbit/api/container.h"
#include "lowbit/api/examples.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/recipe_file.h"
#include "lowbit/api/report_data.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"
#include "lowbit/methods/defaults.h"
#include "lowbit/report/html_report.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/shifted_report.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {
namespace {

constexpr size_t kMostExamples = 12;
constexpr int64_t kReportSamples = 32;  // for the error per layer in the report: enough for a tenth of a decibel

/// Everything that is known at the end, for the text, the JSON and the page alike.
struct Outcome {
  QuantizeResult result;
  std::string output;
  int64_t float_bytes = 0, output_bytes = 0;
  std::string data_description;
  std::vector<ModelEvaluation> evaluations;  ///< float, low-bit; empty without --eval-data
  Comparison comparison;                     ///< only for the report
  Disagreements disagreements;               ///< only for the report
  std::vector<ShiftedEvaluation> shifted;    ///< with --corruptions
  std::optional<SearchReport> search;        ///< of the automatic mode
};

void print_plan(const CommandLine& line, const Model& model, const Coverage& plan,
                std::optional<int64_t> predicted_bytes) {
  int64_t before = 0, after = 0;
  for (const LayerDecision& layer : plan.layers) {
    before += layer.float_weight_bytes;
    after += layer.low_bit ? layer.weight_bytes : layer.float_weight_bytes;
  }
  if (line.json) {
    Json layers = Json::array();
    for (const LayerDecision& layer : plan.layers) layers.push_back(to_json(layer));
    print(json_text({{"output", nullptr},
                     {"dry_run", true},
                     {"float_bytes", model.file_bytes},
                     {"float_weight_bytes", before},
                     {"predicted_weight_bytes", after},
                     {"predicted_file_bytes", predicted_bytes ? Json(*predicted_bytes) : Json(nullptr)},
                     {"layers", std::move(layers)},
                     {"coverage", to_json(plan)}}));
    return;
  }
  print(coverage_text(plan));
  print(fmt::format("predicted weights: {} -> {}; predicted file: {} -> {}; nothing was written\n", bytes_text(before),
                    bytes_text(after), bytes_text(model.file_bytes),
                    predicted_bytes ? bytes_text(*predicted_bytes) : "not in this format"));
}

/// Throws nothing: false if the share is too small.
bool enough_coverage(const QuantizeOptions& options, const Coverage& coverage) {
  return !options.require_coverage || coverage.quantized_share_macs >= *options.require_coverage;
}

void evaluate_both(const QuantizeOptions& options, const CommandLine& line, const Model& model, const DataSet& data,
                   ThreadPool& threads, Outcome& outcome) {
  ProgressBar bar(line.quiet, static_cast<double>(data.size()), "samples");
  const EvaluateRun reference = evaluate_model(model, options.model, data, threads, nullptr,
                                               [&](double share) { bar.update("evaluate float", share); });
  const Model low_bit = open_model(outcome.output);
  const EvaluateRun other = evaluate_model(low_bit, outcome.output, data, threads, &reference,
                                           [&](double share) { bar.update("evaluate low-bit", share); });
  outcome.evaluations = {reference.evaluation, other.evaluation};
  if (!options.report.empty())
    outcome.disagreements = find_disagreements(model, reference, low_bit, other, data, threads, kMostExamples);
  if (options.shifted.given())
    outcome.shifted = run_shifted(options.shifted, {{options.model, &model}, {outcome.output, &low_bit}},
                                  eval_flags(options), threads, line.quiet);
}

void measure_layers(const QuantizeOptions& options, const CommandLine& line, const Model& model, ThreadPool& threads,
                    Outcome& outcome) {
  DataFlags flags = options.data.given() ? calibration_flags(options) : eval_flags(options);
  flags.limit = std::min(flags.limit.value_or(kReportSamples), kReportSamples);
  const auto data = open_data_for(options.model, flags);
  ProgressBar bar(line.quiet, static_cast<double>(data->size()), "samples");
  CompareOptions compare;
  compare.progress = [&](double share) { bar.update("error per layer", share); };
  compare.calibration = &outcome.result.statistics;
  outcome.comparison = compare_models(model, outcome.result.model, *data, threads, compare);
}

void write_report(const QuantizeOptions& options, const Arguments& rest, const Outcome& outcome) {
  HtmlReport report;
  report.title = stem_of(options.model);
  report.version = LOWBIT_VERSION;
  report.source = options.model;
  report.result = outcome.output;
  report.float_bytes = outcome.float_bytes;
  report.low_bit_bytes = outcome.output_bytes;
  report.seconds = outcome.result.seconds;
  report.peak_memory_bytes = peak_memory_bytes();
  report.samples = outcome.result.samples;
  report.data = outcome.data_description;
  if (outcome.evaluations.size() == 2) {
    report.float_evaluation = outcome.evaluations[0];
    report.low_bit_evaluation = outcome.evaluations[1];
  }
  report.disagreements = outcome.disagreements;
  report.shifted = outcome.shifted;
  report.coverage = outcome.result.coverage;
  report.layer_errors = outcome.comparison.layers;
  report.diagnosis = outcome.comparison.diagnosis;
  add_commands(rest, outcome.result.recipe.methods, report.diagnosis);
  report.distributions = collect_distributions(outcome.result.model.graph, outcome.result.statistics);
  report.notes = outcome.result.notes;
  report.recipe = to_toml(outcome.result.recipe);
  report.command = quantize_command(rest);
  if (outcome.search) report.search = search_html(*outcome.search);
  write_file(options.report, to_html(report));
}

Json to_json(const Outcome& outcome) {
  Json layers = Json::array(), models = Json::array();
  for (const LayerDecision& layer : outcome.result.coverage.layers) layers.push_back(to_json(layer));
  for (const ModelEvaluation& evaluation : outcome.evaluations) models.push_back(to_json(evaluation));
  Json json = {{"output", outcome.output.empty() ? Json(nullptr) : Json(outcome.output)},
               {"seconds", json_number(outcome.result.seconds)},
               {"peak_memory_bytes", peak_memory_bytes()},
               {"float_bytes", outcome.float_bytes},
               {"output_bytes", outcome.output_bytes},
               {"samples", outcome.result.samples},
               {"layers", std::move(layers)},
               {"coverage", to_json(outcome.result.coverage)},
               {"notes", outcome.result.notes},
               {"recipe", to_toml(outcome.result.recipe)}};
  if (!models.empty()) json["models"] = std::move(models);
  for (const ShiftedEvaluation& evaluation : outcome.shifted) json["corruptions"].push_back(to_json(evaluation));
  if (outcome.search) json.update(to_json(*outcome.search));
  return json;
}

std::string summary_text(const Outcome& outcome) {
  const QuantizeResult& result = outcome.result;
  std::string text = coverage_text(result.coverage);
  for (const std::string& message : result.notes) text += "note: " + printable(message, 400) + "\n";
  if (!outcome.output.empty())
    text += fmt::format(
        "{}: {} instead of {}, {:.2f} times smaller\n", coloured(printable(outcome.output, 200), 32),
        bytes_text(outcome.output_bytes), bytes_text(outcome.float_bytes),
        static_cast<double>(outcome.float_bytes) / static_cast<double>(std::max<int64_t>(1, outcome.output_bytes)));
  text += fmt::format("{} in {}, peak memory {}\n",
                      result.samples > 0 ? fmt::format("calibrated on {} samples", with_commas(result.samples))
                                         : std::string("weights only, without data,"),
                      milliseconds_text(1000 * result.seconds), bytes_text(peak_memory_bytes()));
  if (!outcome.evaluations.empty()) text += "\n" + evaluations_text(outcome.evaluations);
  for (const ShiftedEvaluation& evaluation : outcome.shifted) text += "\n" + shifted_text(evaluation);
  if (outcome.search) text += "\n" + search_text(*outcome.search);
  return text;
}

/// The share asked for was missed: says so, writes nothing.
int coverage_missed(const QuantizeOptions& options, const CommandLine& line, const Outcome& outcome) {
  print(line.json ? json_text(to_json(outcome)) : coverage_text(outcome.result.coverage));
  note(fmt::format("lowbit: {} of the multiply-adds are low-bit, {} were required; nothing was written",
                   percent_text(outcome.result.coverage.quantized_share_macs),
                   percent_text(*options.require_coverage)));
  return 1;
}

/// What a container carries along.
void describe_model(const QuantizeOptions& options, const std::string& data, QuantizeResult& result) {
  if (!format_to_write(options.output).keeps_annotations) return;
  const std::string preprocess = preprocess_for(options.model, options.data);
  describe_container(result.model,
                     {options.model, "lowbit " LOWBIT_VERSION, data, result.samples, to_toml(result.recipe),
                      preprocess.empty() ? "" : to_string(parse_preprocess(preprocess))});
}

int quantize_and_write(const QuantizeOptions& options, const CommandLine& line, const Arguments& rest,
                       const Recipe& recipe, Model model) {
  ThreadPool threads(line.threads);
  Outcome outcome;
  outcome.float_bytes = model.file_bytes;
  std::unique_ptr<DataSet> data, eval_data;
  if (options.data.given()) {
    data = open_data_for(options.model, calibration_flags(options), recipe.seed);
    check_data_fit(model.graph, *data, options.data.data);
    outcome.data_description = data->describe();
  }
  if (!options.eval_data.empty()) {  // opened now, so that data that do not fit fail before anything is written
    eval_data = open_data_for(options.model, eval_flags(options));
    bind_inputs(model.graph, eval_data->read(0, 1));
  }
  {
    std::vector<std::string> told_later;
    const int64_t samples = with_default_methods(recipe, data != nullptr, told_later).samples;
    ProgressBar bar(line.quiet, data ? static_cast<double>(std::min(samples, data->size())) : 0, "samples");
    const bool needed_later = eval_data || !options.report.empty();
    outcome.result = quantize(needed_later ? model : std::move(model), data.get(), recipe, threads,
                              [&](std::string_view what, double share) { bar.update(what, share); });
  }
  if (!enough_coverage(options, outcome.result.coverage)) return coverage_missed(options, line, outcome);
  outcome.output = options.output;
  describe_model(options, outcome.data_description, outcome.result);
  outcome.output_bytes = save_quantized(outcome.result.model, outcome.output, threads, lower_options(options));
  if (options.simulate)
    outcome.result.notes.push_back(
        "simulated: the weights are float32 numbers with the quantized values, so the file is not smaller");
  if (!options.save_recipe.empty()) write_file(options.save_recipe, to_toml(outcome.result.recipe));
  if (eval_data) evaluate_both(options, line, model, *eval_data, threads, outcome);
  if (!options.report.empty()) {
    if (data) measure_layers(options, line, model, threads, outcome);
    write_report(options, rest, outcome);
  }
  if (line.json)
    print(json_text(to_json(outcome)));
  else if (!line.quiet)
    print(summary_text(outcome) + (options.report.empty() ? "" : "report: " + printable(options.report, 200) + "\n"));
  return 0;
}

/// The automatic mode. The best so far is in the output file at any time.
int search_and_write(const QuantizeOptions& options, const CommandLine& line, const Arguments& rest,
                     const Recipe& recipe, const Model& model) {
  ThreadPool threads(line.threads);
  const DataParts parts = open_parts(options, recipe);
  for (const DataSet* data : {parts.calibration.get(), parts.selection.get()})
    check_data_fit(model.graph, *data, options.eval_data.empty() ? options.data.data : options.eval_data);
  Outcome outcome;
  outcome.float_bytes = model.file_bytes;
  outcome.data_description = parts.calibration->describe();
  const auto save = [&](const QuantizeResult& result) {
    outcome.result = result;
    outcome.output = options.output;
    outcome.output_bytes = save_quantized(outcome.result.model, outcome.output, threads, lower_options(options));
    if (!options.save_recipe.empty()) write_file(options.save_recipe, to_toml(outcome.result.recipe));
  };
  {
    ProgressBar bar(line.quiet);
    AutomaticOptions automatic = automatic_options(options, model, parts);
    automatic.describe = [&](QuantizeResult& result) { describe_model(options, outcome.data_description, result); };
    automatic.on_better = [&](const QuantizeResult& best, const SearchPoint& point) {
      save(best);
      if (!line.quiet && !on_terminal())
        note(fmt::format("lowbit: configuration {} is the best so far: {} bytes, {:.2f} lost ({})", point.number,
                         with_commas(point.bytes), point.drop, point.summary));
    };
    AutomaticResult found = quantize_automatically(
        model, {*parts.calibration, *parts.selection, *parts.final, parts.split}, recipe, automatic, threads,
        [&](std::string_view what, double share) { bar.update(what, share); });
    outcome.search = std::move(found.report);
    save(found.result);
  }
  evaluate_both(options, line, model, *parts.final, threads, outcome);
  if (!options.report.empty()) {
    measure_layers(options, line, model, threads, outcome);
    write_report(options, rest, outcome);
  }
  if (line.json)
    print(json_text(to_json(outcome)));
  else if (!line.quiet)
    print(summary_text(outcome) + (options.report.empty() ? "" : "report: " + printable(options.report, 200) + "\n"));
  if (!outcome.search->met) note("lowbit: target " + outcome.search->verdict + ": " + outcome.search->sentence);
  return outcome.search->met ? 0 : 1;
}

}  // namespace

int run_quantize(const Arguments& rest) {
  CommandLine line("quantize");
  QuantizeOptions options;
  add_quantize_options(line, options);
  if (!line.parse(rest)) return 0;
  set_subject(options.model);
  check_options(options);
  const Recipe recipe = make_recipe(options);
  if (options.output.empty())
    options.output =
        fmt::format("{}.{}.onnx", stem_of(options.model), options.search.given() ? "auto" : recipe.weights);
  Model model = open_model(options.model, options.allow_nonfinite);
  if (options.dry_run) {
    Outcome planned;
    planned.result.recipe = recipe;
    const Coverage plan = plan_quantization(model, options.data.given(), recipe, &planned.result.model);
    if (options.data.given()) {
      planned.data_description = options.data.data;
      planned.result.samples = recipe.samples;
    }
    describe_model(options, planned.data_description, planned.result);
    print_plan(line, model, plan, predicted_file_bytes(planned.result.model, options.output, lower_options(options)));
    return enough_coverage(options, plan) ? 0 : 1;
  }
  check_model_output(options.output);
  if (!options.report.empty()) check_writable(options.report);
  if (!options.save_recipe.empty()) check_writable(options.save_recipe);
  if (options.search.given()) return search_and_write(options, line, rest, recipe, model);
  return quantize_and_write(options, line, rest, recipe, std::move(model));
}

}  // namespace lowbit::cli
