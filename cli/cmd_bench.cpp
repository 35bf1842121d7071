#include "cli/command_line.h"
#include "cli/output.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {

int run_bench(const Arguments& rest) {
  CommandLine line("bench");
  std::vector<std::string> files;
  BenchOptions options;
  line.app().add_option("MODEL", files, "Models, measured one after another")->required();
  line.app()
      .add_option("--seconds", options.seconds, "Measuring time for each model (default 1)")
      ->check(CLI::Range(0.001, 3600.0));
  line.app().add_option("--warmup", options.warmup, "Runs before measuring (default 3)")->check(CLI::Range(0, 1000));
  line.app().add_option("--batch", options.batch, "Samples in a run (default 1)")->check(CLI::Range(1, 65536));
  line.app().add_flag("--per-layer", options.per_layer, "Time of every layer");
  if (!line.parse(rest)) return 0;
  ThreadPool threads(line.threads);
  std::vector<BenchResult> results;
  for (const std::string& file : files) {
    set_subject(file);
    ProgressBar bar(line.quiet);
    bar.update("bench " + file, 0);
    reset_peak_memory();
    const auto start = std::chrono::steady_clock::now();
    const Model model = open_model(file);
    const std::chrono::duration<double, std::milli> opened = std::chrono::steady_clock::now() - start;
    results.push_back(bench_model(model, file, threads, options));
    results.back().load_ms += opened.count();
  }
  if (line.json) {
    Json models = Json::array();
    for (const BenchResult& result : results) models.push_back(to_json(result));
    print(json_text({{"models", std::move(models)}}));
  } else {
    print(bench_text(results));
  }
  return 0;
}

}  // namespace lowbit::cli
