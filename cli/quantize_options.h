// quantize_options.h: the options of `lowbit quantize`: parsed, checked, and turned into a recipe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/data_flags.h"
#include "cli/shifted_flags.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/recipe_file.h"

namespace lowbit::cli {

/// Of the automatic mode.
struct SearchFlags {
  std::optional<std::string> max_drop, max_size, max_latency;
  std::string budget, journal, pick;
  std::vector<std::string> candidates;

  bool given() const { return max_drop || max_size || max_latency; }
};

struct QuantizeOptions {
  std::string model, output, report;
  DataFlags data;
  std::string eval_data, eval_slice;
  std::optional<int64_t> eval_limit;
  std::string recipe_file, save_recipe;
  std::optional<std::string> weights, activations, granularity, range, weight_range, rounding, symmetry;
  std::vector<std::string> methods, include, exclude;
  std::optional<int64_t> samples;
  std::optional<uint64_t> seed;
  std::optional<double> require_coverage;
  SearchFlags search;
  bool dry_run = false, allow_nonfinite = false, simulate = false;
  std::optional<int64_t> opset;
  ShiftedFlags shifted;
};

void add_quantize_options(CommandLine& line, QuantizeOptions& options);

/// Refuses what this version cannot do and what contradicts itself. Throws Error{bad_argument}.
void check_options(const QuantizeOptions& options);

/// The recipe file, or the default, with the options on top; checked. Without data, activations stay float.
Recipe make_recipe(const QuantizeOptions& options);

/// How annotations are written to ONNX files.
LowerOptions lower_options(const QuantizeOptions& options);

/// The data to calibrate on: --data. Labels belong to --eval-data if there are any.
DataFlags calibration_flags(const QuantizeOptions& options);
/// The data to evaluate on: --eval-data with the labels and preprocessing of the command.
DataFlags eval_flags(const QuantizeOptions& options);

}  // namespace lowbit::cli
