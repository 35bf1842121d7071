#include "cli/quantize_options.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/automatic.h"
#include "lowbit/api/recipe_check.h"
#include "lowbit/api/recipe_file.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit::cli {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::bad_argument, message, "quantize"); }

}  // namespace

void add_quantize_options(CommandLine& line, QuantizeOptions& options) {
  CLI::App& app = line.app();
  line.add_file("MODEL", options.model, "Float model");
  app.add_option("-o,--output", options.output, "Low-bit model to write (default: NAME.WEIGHTS.onnx in this folder)")
      ->type_name("OUT");
  add_data_options(app, options.data, "Calibration data; without them activations stay float", false);
  app.add_option("--samples", options.samples,
                 "Calibration samples (default: as many as the methods want, 256 to 1024)")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "Seed of every random choice (default 1)")->type_name("N");
  app.add_option("--weights", options.weights,
                 "Number system of the weights (default int8); auto:N: the best for each layer, N bits on average")
      ->type_name("SYSTEM");
  app.add_option("--activations", options.activations,
                 "Number system of the activations (default uint8); dynamic:uint8 or dynamic-token:uint8: ranges found "
                 "at inference; none")
      ->type_name("SYSTEM");
  app.add_option("--granularity", options.granularity,
                 "Of the weights: tensor, channel, group:N or block:RxC (default: the system's own, else channel)")
      ->type_name("G");
  app.add_option("--range", options.range,
                 "Range of the activations: minmax, average, percentile:P, mse, entropy, adaptive")
      ->type_name("RULE");
  app.add_option("--weight-range", options.weight_range,
                 "Range of the weights: minmax, mse, or weighted (mse by the size of the inputs; needs data)")
      ->type_name("RULE");
  app.add_option("--rounding", options.rounding, "nearest or stochastic:SEED")->type_name("RULE");
  app.add_option("--symmetry", options.symmetry, "Zero points: asymmetric, symmetric or mixed")->type_name("RULE");
  line.add_list("--method", options.methods,
                "Methods to apply, in this order: NAME[:OPTION=X][,NAME...]; default, or none for plain rounding")
      ->delimiter(',')
      ->type_name("NAME");
  app.add_option("--recipe", options.recipe_file,
                 "All of the above in a file (or in a container), or the name of a built-in recipe")
      ->type_name("FILE|NAME");
  app.add_option("--save-recipe", options.save_recipe, "Write the recipe that was really used")->type_name("FILE.toml");
  line.add_list("--include", options.include, "Only these layers: a glob, or op:NAME; may be repeated")
      ->type_name("GLOB");
  line.add_list("--exclude", options.exclude, "Not these layers; may be repeated")->type_name("GLOB");
  app.add_option("--require-coverage", options.require_coverage,
                 "Exit 1 and write nothing if a smaller share of the multiply-adds ends up low-bit")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--eval-data", options.eval_data, "Evaluate both models on these data afterwards")->type_name("DATA");
  app.add_option("--eval-slice", options.eval_slice, "Rows of --eval-data")->type_name("START:STOP:STEP");
  app.add_option("--eval-limit", options.eval_limit, "Use the first N samples of --eval-data only")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  add_shifted_options(app, options.shifted);
  app.add_option("--report", options.report, "Write a report of what happened")->type_name("FILE.html");
  app.add_flag("--simulate", options.simulate,
               "Write float weights that hold the quantized values (a file as large as before)");
  app.add_option("--opset", options.opset, "Newest ONNX opset that the file may need, 17 to 25 (default 21)")
      ->type_name("N")
      ->check(CLI::Range(17, 25));
  app.add_flag("--dry-run", options.dry_run, "Print the plan with predicted bytes; write nothing");
  app.add_flag("--allow-nonfinite", options.allow_nonfinite, "Accept NaN and infinity in weights");
  add_automatic_options(app, options.search);
}

void check_options(const QuantizeOptions& options) {
  check_shifted(options.shifted, 2);
  if (options.shifted.given() && options.eval_data.empty())
    refuse("--corruptions damages evaluation data (give --eval-data)");
  if (options.search.given()) {
    if (options.dry_run) refuse("--dry-run cannot tell what a search finds (leave out the targets)");
    if (options.simulate) refuse("--simulate has nothing to do with targets (leave out the targets)");
    if (options.require_coverage) refuse("--require-coverage and targets do not go together yet (leave out one)");
  } else if (!options.search.budget.empty() || !options.search.journal.empty() || !options.search.pick.empty() ||
             !options.search.candidates.empty()) {
    refuse("--budget, --journal, --pick and --candidates need a target (--max-drop, --max-size or --max-latency)");
  }
  if (options.search.given() && !options.eval_data.empty()) return;  // calibration data are taken from those
  if (options.data.given()) return;
  if (options.activations && *options.activations != "none" && !options.activations->starts_with("dynamic"))
    refuse("--activations needs calibration data (give --data, --activations none or dynamic:uint8)");
  if (options.samples) refuse("--samples needs calibration data (give --data)");
  if (!options.data.slice.empty() || options.data.limit)
    refuse("--slice and --limit need calibration data (give --data)");
}

Recipe make_recipe(const QuantizeOptions& options) {
  Recipe recipe = options.recipe_file.empty() ? Recipe{} : load_recipe(options.recipe_file);
  const auto take = [](const auto& given, auto& target) {
    if (given) target = *given;
  };
  take(options.weights, recipe.weights);
  take(options.activations, recipe.activations);
  take(options.granularity, recipe.granularity);
  take(options.range, recipe.range);
  take(options.weight_range, recipe.weight_range);
  take(options.rounding, recipe.rounding);
  take(options.symmetry, recipe.symmetry);
  take(options.samples, recipe.samples);
  take(options.seed, recipe.seed);
  if (!options.methods.empty()) recipe.methods = options.methods;
  std::erase(recipe.methods, "none");
  if (!options.include.empty()) recipe.include = options.include;
  if (!options.exclude.empty()) recipe.exclude = options.exclude;
  check_recipe(recipe);
  if (recipe.weight_range == "weighted" && !options.data.given() && !options.search.given())
    refuse("--weight-range weighted needs calibration data (give --data, or choose mse)");
  // Methods that the user asked for are not dropped silently.
  const bool default_methods = options.methods.empty() && options.recipe_file.empty();
  return options.data.given() || options.search.given() ? recipe : without_data(std::move(recipe), default_methods);
}

LowerOptions lower_options(const QuantizeOptions& options) {
  LowerOptions lower;
  lower.simulate = options.simulate;
  lower.max_opset = options.opset.value_or(lower.max_opset);
  return lower;
}

DataFlags calibration_flags(const QuantizeOptions& options) {
  DataFlags flags = options.data;
  if (!options.eval_data.empty()) flags.labels.clear();
  return flags;
}

DataFlags eval_flags(const QuantizeOptions& options) {
  DataFlags flags = options.data;
  flags.data = options.eval_data;
  flags.slice = options.eval_slice;
  flags.limit = options.eval_limit;
  return flags;
}

}  // namespace lowbit::cli
