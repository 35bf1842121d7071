#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/data_flags.h"
#include "cli/output.h"
#include "cli/shifted_flags.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/shifted_report.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {

int run_eval(const Arguments& rest) {
  CommandLine line("eval");
  std::vector<std::string> files;
  DataFlags flags;
  line.app().add_option("MODEL", files, "Models; agreement is measured against the first")->required();
  add_data_options(line.app(), flags, "Data to evaluate on", true);
  ShiftedFlags shifted_flags;
  add_shifted_options(line.app(), shifted_flags);
  line.app().add_option("--seed", shifted_flags.seed, "Seed of the damage (default 1)")->type_name("N");
  if (!line.parse(rest)) return 0;
  check_shifted(shifted_flags, files.size());
  set_subject(files[0]);
  ThreadPool threads(line.threads);
  std::optional<EvaluateRun> reference;
  std::vector<Model> kept;  // for the damaged data
  std::vector<ModelEvaluation> evaluations;
  std::string description;
  for (const std::string& file : files) {
    set_subject(file);
    const Model model = open_model(file);
    const auto data = open_data_for(files[0], flags);
    description = data->describe();
    ProgressBar bar(line.quiet, static_cast<double>(data->size()), "samples");
    EvaluateRun run = evaluate_model(model, file, *data, threads, reference ? &*reference : nullptr,
                                     [&](double share) { bar.update("evaluate " + file, share); });
    evaluations.push_back(run.evaluation);
    if (!reference) reference = std::move(run);
    if (shifted_flags.given()) kept.push_back(model);
  }
  std::vector<ShiftedEvaluation> shifted;
  if (shifted_flags.given()) {
    std::vector<NamedModel> named;
    for (size_t i = 0; i < files.size(); ++i) named.push_back({files[i], &kept[i]});
    shifted = run_shifted(shifted_flags, named, flags, threads, line.quiet);
  }
  if (line.json) {
    Json models = Json::array();
    for (const ModelEvaluation& evaluation : evaluations) models.push_back(to_json(evaluation));
    Json json = {{"data", description}, {"models", std::move(models)}};
    for (const ShiftedEvaluation& evaluation : shifted) json["corruptions"].push_back(to_json(evaluation));
    print(json_text(json));
    return 0;
  }
  if (!line.quiet) note(description);
  if (!line.quiet && !evaluations[0].note.empty()) note(evaluations[0].note);
  print(evaluations_text(evaluations));
  for (const ShiftedEvaluation& evaluation : shifted) print("\n" + shifted_text(evaluation));
  return 0;
}

}  // namespace lowbit::cli
