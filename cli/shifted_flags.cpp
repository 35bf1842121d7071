#include "cli/shifted_flags.h"

#include "cli/output.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit::cli {

void add_shifted_options(CLI::App& app, ShiftedFlags& flags) {
  app.add_option("--corruptions", flags.corruptions,
                 "Evaluate on damaged data too: all, or names as gaussian-noise,jpeg (lowbit list corruptions)")
      ->type_name("all|LIST");
  app.add_option("--strengths", flags.strengths, "How much damage: 1 to 5, as 1-5 (default) or 1,3,5")
      ->type_name("A-B");
}

void check_shifted(const ShiftedFlags& flags, size_t models) {
  parse_strengths(flags.strengths);
  if (!flags.given()) return;
  if (flags.corruptions != "all")
    for (const std::string& name : split(flags.corruptions, ',')) find_corruption(trim(name));
  if (models < 2)
    throw Error(ErrorCode::bad_argument, "compares models on damaged data (give a float and a low-bit one)",
                "--corruptions");
}

std::vector<ShiftedEvaluation> run_shifted(const ShiftedFlags& flags, const std::vector<NamedModel>& models,
                                           const DataFlags& data, ThreadPool& threads, bool quiet) {
  const auto clean = open_data_for(models[0].file, data);
  ShiftedOptions options;
  options.kinds = parse_corruptions(flags.corruptions, clean->has_pictures());
  options.strengths = parse_strengths(flags.strengths);
  options.seed = flags.seed;
  const auto sets = static_cast<double>(1 + options.kinds.size() * options.strengths.size());
  ProgressBar bar(quiet, sets * static_cast<double>(clean->size()), "samples");
  options.progress = [&](double share) { bar.update("damaged data", share); };
  const OpenData open = [&](std::optional<CorruptionChoice> choice) {
    return open_data_for(models[0].file, data, std::nullopt, choice);
  };
  return evaluate_shifted(models, open, threads, options);
}

}  // namespace lowbit::cli
