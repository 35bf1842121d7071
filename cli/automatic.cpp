#include "cli/automatic.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "cli/output.h"
#include "lowbit/api/recipe_check.h"
#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/base/hash.h"
#include "lowbit/base/text.h"
#include "lowbit/data/window.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit::cli {
namespace {

constexpr int64_t kLeastSamples = 8;
constexpr int64_t kMostCalibration = 1024;  // of data that also decide

[[noreturn]] void refuse(const std::string& message, const char* option) {
  throw Error(ErrorCode::bad_argument, message, option);
}

/// "12.5ms" -> 12.5 and "ms".
std::pair<double, std::string> number_and_unit(const std::string& text, const char* option) {
  const size_t end = text.find_first_not_of("0123456789.eE+-");
  // An e belongs to the number only if digits follow; units such as "evals" begin with one.
  size_t split_at = end == std::string::npos ? text.size() : end;
  while (split_at > 0 && (text[split_at - 1] == 'e' || text[split_at - 1] == 'E')) --split_at;
  const auto number = parse_double(trim(std::string_view(text).substr(0, split_at)));
  if (!number || !std::isfinite(*number) || *number < 0)
    refuse(fmt::format("'{}' is no number that is not negative", printable(text, 60)), option);
  return {*number, std::string(trim(std::string_view(text).substr(split_at)))};
}

double parse_drop(const std::string& text) {
  const auto [number, unit] = number_and_unit(text, "--max-drop");
  if (!unit.empty() && unit != "%")
    refuse(fmt::format("'{}' has the unit '{}' (points of accuracy: 0.5)", printable(text, 60), printable(unit, 20)),
           "--max-drop");
  if (number > 100) refuse("at most 100 points can be lost", "--max-drop");
  return number;
}

double parse_latency(const std::string& text) {
  const auto [number, unit] = number_and_unit(text, "--max-latency");
  const double factor = unit.empty() || unit == "ms" ? 1 : unit == "us" ? 1e-3 : unit == "s" ? 1e3 : 0;
  if (factor == 0 || number == 0)
    refuse(fmt::format("'{}' is no time above 0 in ms (units: us, ms, s)", printable(text, 60)), "--max-latency");
  return number * factor;
}

/// The candidates of the command: those that are named; else the default ones, not wider than --weights.
std::vector<std::string> candidates_of(const QuantizeOptions& options) {
  std::vector<std::string> list = options.search.candidates;
  if (list.empty() && options.weights) {
    const int most = parse_number_format(*options.weights).bits;
    list = {*options.weights};
    for (const std::string& other : default_candidates())
      if (parse_number_format(other).bits < most) list.push_back(other);
  }
  std::set<std::string> seen;
  for (const std::string& candidate : list) {
    Recipe check;
    check.weights = candidate;
    check_recipe(check);
    if (candidate == "none" || candidate.starts_with("auto"))
      refuse(fmt::format("'{}' is no number system", printable(candidate, 40)), "--candidates");
    if (!seen.insert(candidate).second) refuse(fmt::format("'{}' is named twice", candidate), "--candidates");
  }
  return list;
}

std::string file_subject(const std::string& path) {
  try {
    const auto file = MappedFile::open(path);
    return fmt::format("{} {} {:016x}", name_of(path), file->bytes().size(), xxhash64(file->bytes()));
  } catch (const Error&) {
    return name_of(path);  // a folder
  }
}

/// Names of samples are rows or files, the same for the same sample of one source.
int64_t shared_samples(const DataSet& a, const DataSet& b) {
  std::set<std::string> names;
  for (int64_t i = 0; i < a.size(); ++i) names.insert(a.sample_name(i));
  int64_t shared = 0;
  for (int64_t i = 0; i < b.size(); ++i) shared += static_cast<int64_t>(names.count(b.sample_name(i)));
  return shared;
}

void halve(const std::shared_ptr<const DataSet>& whole, int64_t from, DataParts& parts) {
  const int64_t selection = (whole->size() - from) / 2;
  parts.selection = window(whole, from, selection);
  parts.final = window(whole, from + selection, whole->size() - from - selection);
}

void check_enough(const DataSet& data) {
  if (data.size() < kLeastSamples)
    refuse(fmt::format("{} samples are too few to calibrate, to select and to tell the result (at least {})",
                       data.size(), kLeastSamples),
           "--eval-data");
}

}  // namespace

void add_automatic_options(CLI::App& app, SearchFlags& flags) {
  app.add_option("--max-drop", flags.max_drop,
                 "Automatic mode: the smallest model that loses at most X points of accuracy (without labels: X % of "
                 "samples with another class, or X % error of the output), shown by the 95 % interval")
      ->type_name("X");
  app.add_option("--max-size", flags.max_size,
                 "Automatic mode: the most accurate model of at most so many bytes (also 32k, 1.5MiB, 10% of MODEL)")
      ->type_name("BYTES");
  app.add_option("--max-latency", flags.max_latency,
                 "Automatic mode: at most so many milliseconds for one inference on this machine")
      ->type_name("MS");
  app.add_option("--budget", flags.budget,
                 "Of the search: time and evaluations, as 10m, 50evals or 10m,50evals (default 24evals)")
      ->type_name("BUDGET");
  app.add_option("--candidates", flags.candidates,
                 "Number systems that the search may give to weights, widest first (default int8 to int2)")
      ->delimiter(',')
      ->type_name("SYSTEM");
  app.add_option("--journal", flags.journal,
                 "Record of the search: started again with it, an interrupted search continues with the same result")
      ->type_name("FILE");
  app.add_option("--pick", flags.pick,
                 "Take this configuration instead of the search's choice: its number, smallest or accurate")
      ->type_name("NUMBER");
}

int64_t parse_size(const std::string& text, int64_t whole) {
  const auto [number, unit] = number_and_unit(text, "--max-size");
  double factor = 0;
  if (unit.empty() || unit == "B") factor = 1;
  if (unit == "%") factor = static_cast<double>(whole) / 100;
  const std::pair<const char*, double> units[] = {{"k", 1e3},      {"kB", 1e3},        {"M", 1e6},
                                                  {"MB", 1e6},     {"G", 1e9},         {"GB", 1e9},
                                                  {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}};
  for (const auto& [name, bytes] : units)
    if (unit == name) factor = bytes;
  const double size = std::floor(number * factor);
  if (factor == 0 || size < 1 || size > 9e15)
    refuse(fmt::format("'{}' is no number of bytes (units: k, M, G, KiB, MiB, GiB, or % of the model's file)",
                       printable(text, 60)),
           "--max-size");
  return static_cast<int64_t>(size);
}

void parse_budget(const std::string& text, AutomaticOptions& options) {
  for (const std::string& part : split(text, ',')) {
    const auto [number, unit] = number_and_unit(part, "--budget");
    const double seconds = unit == "s" ? 1 : unit == "m" || unit == "min" ? 60 : unit == "h" ? 3600 : 0;
    if (unit == "evals" || unit == "eval" || unit == "evaluations") {
      if (number < 1 || number > 1e6 || number != std::floor(number))
        refuse(fmt::format("'{}' is no number of evaluations from 1 on", printable(part, 60)), "--budget");
      options.evaluations = static_cast<int64_t>(number);
    } else if (seconds > 0) {
      options.seconds = number * seconds;
    } else {
      refuse(fmt::format("'{}' is neither a time (90s, 10m, 2h) nor a number of evaluations (50evals)",
                         printable(part, 60)),
             "--budget");
    }
  }
}

DataParts open_parts(const QuantizeOptions& options, const Recipe& recipe) {
  DataParts parts;
  const bool two = options.data.given() && !options.eval_data.empty();
  if (!options.data.given() && options.eval_data.empty())
    refuse(
        "the automatic mode needs data to measure what is lost (give --eval-data, or --data; without data: --weights "
        "auto:N)",
        "--max-drop");
  const DataFlags source = options.eval_data.empty() ? options.data : eval_flags(options);
  const std::shared_ptr<const DataSet> whole = open_data_for(options.model, source, recipe.seed);
  check_enough(*whole);
  parts.subject = file_subject(source.data) + " " + whole->describe();
  if (two) {
    const DataFlags calibration = calibration_flags(options);
    std::shared_ptr<const DataSet> other = open_data_for(options.model, calibration, recipe.seed);
    const bool same_file = file_subject(calibration.data) == file_subject(source.data);
    const int64_t shared = same_file ? shared_samples(*other, *whole) : 0;
    if (shared > 0 && shared < whole->size())
      refuse(fmt::format("{} samples are both in --data and in --eval-data (use --slice 0::2 and --eval-slice 1::2, or "
                         "leave out --data)",
                         with_commas(shared)),
             "--eval-data");
    if (shared == 0) {
      parts.subject += "; " + file_subject(calibration.data) + " " + other->describe();
      parts.calibration = window(other, 0, other->size());
      halve(whole, 0, parts);
      parts.split = fmt::format("--eval-data divided by a permutation (seed {}): {} samples select, {} give the result",
                                recipe.seed, with_commas(parts.selection->size()), with_commas(parts.final->size()));
      return parts;
    }
  }
  const int64_t calibration = std::min(kMostCalibration, whole->size() / 3);
  parts.calibration = window(whole, 0, calibration);
  halve(whole, calibration, parts);
  parts.split = fmt::format(
      "the data divided by a permutation (seed {}): {} samples calibrate, {} select, {} give the result", recipe.seed,
      with_commas(calibration), with_commas(parts.selection->size()), with_commas(parts.final->size()));
  return parts;
}

AutomaticOptions automatic_options(const QuantizeOptions& options, const Model& model, const DataParts& parts) {
  const SearchFlags& flags = options.search;
  AutomaticOptions automatic;
  if (flags.max_drop) automatic.max_drop = parse_drop(*flags.max_drop);
  if (flags.max_size) automatic.max_bytes = parse_size(*flags.max_size, model.file_bytes);
  if (flags.max_latency) automatic.max_ms = parse_latency(*flags.max_latency);
  if (!flags.budget.empty()) parse_budget(flags.budget, automatic);
  automatic.candidates = candidates_of(options);
  automatic.journal = flags.journal;
  automatic.pick = flags.pick;
  automatic.output = options.output;
  automatic.lower = lower_options(options);
  automatic.subject = "lowbit " LOWBIT_VERSION "; " + file_subject(options.model) + "; " + parts.subject;
  return automatic;
}

}  // namespace lowbit::cli
