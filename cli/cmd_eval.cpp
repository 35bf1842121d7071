#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/data_flags.h"
#include "cli/output.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {

int run_eval(const Arguments& rest) {
  CommandLine line("eval");
  std::vector<std::string> files;
  DataFlags flags;
  line.app().add_option("MODEL", files, "Models; agreement is measured against the first")->required();
  add_data_options(line.app(), flags, "Data to evaluate on", true);
  if (!line.parse(rest)) return 0;
  set_subject(files[0]);
  ThreadPool threads(line.threads);
  std::optional<EvaluateRun> reference;
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
  }
  if (line.json) {
    Json models = Json::array();
    for (const ModelEvaluation& evaluation : evaluations) models.push_back(to_json(evaluation));
    print(json_text({{"data", description}, {"models", std::move(models)}}));
    return 0;
  }
  if (!line.quiet) note(description);
  if (!line.quiet && !evaluations[0].note.empty()) note(evaluations[0].note);
  print(evaluations_text(evaluations));
  return 0;
}

}  // namespace lowbit::cli
