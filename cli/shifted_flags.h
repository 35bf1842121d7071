// shifted_flags.h: --corruptions, --strengths: evaluation on damaged data, shared by eval and quantize.
#pragma once

#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/data_flags.h"
#include "lowbit/api/shifted.h"

namespace lowbit::cli {

struct ShiftedFlags {
  std::string corruptions, strengths = "1-5";
  uint64_t seed = 1;
  bool given() const { return !corruptions.empty(); }
};

/// Adds --corruptions and --strengths.
void add_shifted_options(CLI::App& app, ShiftedFlags& flags);

/// Throws Error{bad_argument} for unknown names or strengths, or fewer than two models: before anything is computed.
void check_shifted(const ShiftedFlags& flags, size_t models);

/// Evaluates the models on the damaged data of `data`, prepared as for `first`; shows progress.
std::vector<ShiftedEvaluation> run_shifted(const ShiftedFlags& flags, const std::vector<NamedModel>& models,
                                           const DataFlags& data, ThreadPool& threads, bool quiet);

}  // namespace lowbit::cli
