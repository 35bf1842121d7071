// weight_accuracy_bench.cpp: accuracy of one network with its weights alone in low bits, activations in float, for each
// of the recipes given: quantized in memory and evaluated by the float executor on the decoded weights, so it works for
// number systems that no file format has.
//   weight_accuracy_bench MODEL CALIBRATION EVALUATION [key=value ...] -- WEIGHTS[,granularity=G][,range=R][,method=M]
//   ... keys: labels, classes, preprocess, calib-slice, eval-slice, calib-samples, eval-limit
// Prints a markdown row for each: system, bits stored for each weight, accuracy, agreement with float, seconds.
#include <fmt/format.h>

#include <map>

#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

using Settings = std::map<std::string, std::string>;

std::unique_ptr<DataSet> open(const std::string& path, const Settings& settings, bool evaluation) {
  const auto get = [&](const char* key) {
    const auto found = settings.find(key);
    return found == settings.end() ? std::string() : found->second;
  };
  DataOptions options;
  if (evaluation) options.labels = get("labels");
  options.classes = get("classes");
  if (!get("preprocess").empty()) options.preprocess = parse_preprocess(get("preprocess"));
  const std::string slice = get(evaluation ? "eval-slice" : "calib-slice");
  if (!slice.empty()) options.slice = parse_slice(slice);
  if (evaluation && !get("eval-limit").empty()) options.limit = parse_int(get("eval-limit"));
  if (!evaluation) options.shuffle_seed = 1;
  return open_data(path, options);
}

/// "int4,granularity=channel,range=mse,method=bias-correct+gptq" -> recipe of weights only.
Recipe recipe_of(const std::string& text, const Settings& settings) {
  Recipe recipe;
  recipe.activations = "none";
  recipe.weight_range = "mse";
  recipe.methods = {"bias-correct"};
  if (const auto found = settings.find("calib-samples"); found != settings.end())
    recipe.samples = parse_int(found->second).value();
  for (const std::string& part : split(text, ',')) {
    const size_t at = part.find('=');
    const std::string key = part.substr(0, at), value = at == std::string::npos ? "" : part.substr(at + 1);
    if (at == std::string::npos) recipe.weights = part;
    if (key == "granularity") recipe.granularity = value;
    if (key == "range") recipe.weight_range = value;
    if (key == "method") recipe.methods = value == "none" ? std::vector<std::string>{} : split(value, '+');
  }
  return recipe;
}

double share(const ModelEvaluation& evaluation, const char* metric) {
  const auto found = evaluation.metrics.find(metric);
  return found == evaluation.metrics.end() ? 0 : 100 * found->second.value;
}

void print_row(const std::string& name, double bits, const ModelEvaluation& evaluation, double agreement,
               double seconds) {
  fmt::print("| {} | {:.2f} | {:.2f} | {:.2f} | {:.1f} |\n", name, bits, share(evaluation, "accuracy"), agreement,
             seconds);
  std::fflush(stdout);
}

int run(const std::vector<std::string>& arguments) {
  const std::string path = arguments[0];
  Settings settings;
  size_t at = 3;
  for (; at < arguments.size() && arguments[at] != "--"; ++at) {
    const size_t equals = arguments[at].find('=');
    settings[arguments[at].substr(0, equals)] = arguments[at].substr(equals + 1);
  }
  ThreadPool threads;
  const Model model = open_model(path);
  const auto calibration = open(arguments[1], settings, false), evaluation = open(arguments[2], settings, true);
  const EvaluateRun reference = evaluate_model(model, path, *evaluation, threads, nullptr);
  fmt::print("| weights | bits stored | accuracy % | agreement % | seconds |\n|---|---:|---:|---:|---:|\n");
  print_row("float32", 32, reference.evaluation, 100, 0);
  for (++at; at < arguments.size(); ++at) try {
      const QuantizeResult result = quantize(model, calibration.get(), recipe_of(arguments[at], settings), threads);
      int64_t weights = 0, bits = 0;
      for (const Value& value : result.model.graph.values)
        if (value.constant && value.quantization) {
          weights += value.constant->count();
          bits += storage_bits(*value.quantization, value.constant->dims());
        }
      const EvaluateRun run = evaluate_model(dequantize(result.model), path, *evaluation, threads, &reference);
      print_row(arguments[at], static_cast<double>(bits) / static_cast<double>(std::max<int64_t>(weights, 1)),
                run.evaluation, share(run.evaluation, "agreement"), result.seconds);
    } catch (const Error& error) {
      fmt::print("| {} | failed: {} | | | |\n", arguments[at], error.what());
    }
  return 0;
}

}  // namespace
}  // namespace lowbit

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 5) {
    fmt::print(stderr,
               "usage: weight_accuracy_bench MODEL CALIBRATION EVALUATION [key=value ...] -- WEIGHTS[,...] ...\n");
    return 2;
  }
  try {
    return lowbit::run(arguments);
  } catch (const lowbit::Error& error) {
    fmt::print(stderr, "weight_accuracy_bench: {}\n", error.what());
    return 3;
  }
}
