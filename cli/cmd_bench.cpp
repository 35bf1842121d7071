#include <sched.h>

#include <algorithm>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/output.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {
namespace {

/// Restricts the process to the first `threads` (0: all) of its cores, so that the scheduler does not move them about.
void pin_to_cores(int threads) {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&allowed);
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  int left = threads > 0 ? threads : CPU_SETSIZE;
  for (int core = 0; core < CPU_SETSIZE && left > 0; ++core)
    if (CPU_ISSET(core, &allowed)) CPU_SET(core, &chosen), --left;
  if (sched_setaffinity(0, sizeof chosen, &chosen) != 0)
    throw Error(ErrorCode::io, "the system does not let the threads be kept on their cores (leave out --pin)");
}

}  // namespace

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
  line.app().add_flag("--per-layer", options.per_layer, "Time of every step of the plan, with its kernel");
  bool pin = false, no_peak = false;
  line.app().add_flag("--pin", pin, "Keep the threads on the first cores that this process may use");
  line.app().add_flag("--no-peak", no_peak, "Do not measure the machine's own limits first");
  if (!line.parse(rest)) return 0;
  if (pin) pin_to_cores(line.threads);
  ThreadPool threads(line.threads);
  if (!no_peak) options.peak = measure_machine_peak();
  std::vector<BenchResult> results;
  for (const std::string& file : files) {
    set_subject(file);
    ProgressBar bar(line.quiet);
    bar.update("bench " + file, 0);
    options.progress = [&](double share) { bar.update("bench " + file, std::min(share, 1.0)); };
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
    print(json_text({{"models", std::move(models)},
                     {"instruction_set", options.peak.instruction_set},
                     {"peak_gops_per_thread", options.peak.ops_per_second * 1e-9},
                     {"memory_gb_per_second", options.peak.bytes_per_second * 1e-9}}));
  } else {
    std::string text = bench_text(results);
    if (!no_peak)
      text += fmt::format(
          "\nmachine: {}, {:.0f} GOP/s of 8-bit arithmetic and {:.1f} GB/s of memory on one thread (measured)\n",
          options.peak.instruction_set, options.peak.ops_per_second * 1e-9, options.peak.bytes_per_second * 1e-9);
    print(text);
  }
  return 0;
}

}  // namespace lowbit::cli
