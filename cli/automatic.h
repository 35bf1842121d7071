// automatic.h: the automatic mode of `lowbit quantize`: its options, and the data divided into three parts.
#pragma once

#include <memory>
#include <string>

#include "cli/quantize_options.h"
#include "lowbit/api/automatic.h"

namespace lowbit::cli {

void add_automatic_options(CLI::App& app, SearchFlags& flags);

/// Calibration, selection and final data; the sources they are parts of live as long.
struct DataParts {
  std::unique_ptr<DataSet> calibration, selection, final;
  std::string split;    ///< how they were divided
  std::string subject;  ///< the files behind them, with checksums
};

/// With --eval-data and --data: the first is halved by a seeded permutation, the second calibrates. With one of them,
/// or when both name the same samples: a third (at most 1,024 samples) calibrates, the rest is halved. Throws
/// Error{bad_argument} if there are no data, fewer than 8 samples, or samples that belong to both.
DataParts open_parts(const QuantizeOptions& options, const Recipe& recipe);

/// Parsed and checked; `model`: for sizes in per cent.
AutomaticOptions automatic_options(const QuantizeOptions& options, const Model& model, const DataParts& parts);

/// "32369", "32k", "1.5MiB", "10%" of `whole`. Throws Error{bad_argument}.
int64_t parse_size(const std::string& text, int64_t whole);
/// "10m", "50evals", "90s,20evals" into options.seconds and options.evaluations. Throws Error{bad_argument}.
void parse_budget(const std::string& text, AutomaticOptions& options);

}  // namespace lowbit::cli
