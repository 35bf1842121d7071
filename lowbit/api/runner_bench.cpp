// Latency, throughput and memory of a model on made-up inputs.
#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>

#include <fmt/format.h>

#include "lowbit/api/inference.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/random.h"
#include "lowbit/base/text.h"
#include "lowbit/kernels/peak.h"

namespace lowbit {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kLeastRuns = 5, kMostRuns = 1'000'000;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Uniform in [0, 1) for floats, zeros for the rest; free dimensions become the batch (the first) or 1.
NamedTensors make_inputs(const Graph& graph, int64_t batch) {
  NamedTensors inputs;
  uint64_t stream = 0;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    if (!value.shape)
      throw Error(ErrorCode::unsupported,
                  fmt::format("input '{}' has no known rank (fix its shape in the model)", printable(value.name, 80)));
    Dims dims;
    for (size_t i = 0; i < value.shape->size(); ++i)
      dims.push_back((*value.shape)[i].known() ? *(*value.shape)[i].size : i == 0 ? batch : 1);
    Tensor x(value.dtype == DType::undefined ? DType::float32 : value.dtype, dims);
    if (is_float(x.dtype())) {
      Random random(1, stream++);
      Tensor values = Tensor::uninitialized(DType::float32, dims);
      for (float& v : values.mutable_values<float>()) v = static_cast<float>(random.uniform());
      x = values.cast(x.dtype());
    }
    inputs[value.name] = x;
  }
  return inputs;
}

double at_share(const std::vector<double>& sorted, double share) {
  const auto index = static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[std::min(index, sorted.size() - 1)];
}

/// Times of the steps of a session, medians over the measured runs.
class StepTimes {
 public:
  explicit StepTimes(Session& session) : session_(session), times_(session.plan().steps.size()) {
    session_.on_time = [this](size_t step, int64_t nanoseconds) {
      if (measuring) times_[step].push_back(static_cast<double>(nanoseconds) * 1e-6);
    };
  }
  ~StepTimes() { session_.on_time = nullptr; }
  bool measuring = false;

  std::vector<BenchResult::Layer> layers(const MachinePeak& peak, int threads) {
    std::vector<BenchResult::Layer> result;
    for (size_t i = 0; i < times_.size(); ++i) {
      if (times_[i].empty()) continue;
      const plan::StepDetails& details = session_.plan().details[i];
      std::sort(times_[i].begin(), times_[i].end());
      BenchResult::Layer layer;
      layer.name = details.name;
      layer.op = details.op;
      layer.ms_median = at_share(times_[i], 0.5);
      layer.macs = details.macs;
      layer.kernel = details.kernel;
      layer.note = details.note;
      layer.threads = session_.plan().steps[i].chunks;
      layer.bytes = details.bytes;
      const double limit = peak.ops_per_second * std::min(threads, layer.threads);
      if (details.macs > 0 && layer.ms_median > 0 && limit > 0 && details.integer)
        layer.share_of_peak = 2e3 * static_cast<double>(details.macs) / layer.ms_median / limit;
      result.push_back(std::move(layer));
    }
    return result;
  }

 private:
  Session& session_;
  std::vector<std::vector<double>> times_;
};

/// Sorted times of single runs.
std::vector<double> measure(Inference& inference, const NamedTensors& inputs, const BenchOptions& options,
                            double& total_ms) {
  const PreparedRun run(inference, inputs);
  for (int i = 0; i < options.warmup; ++i) run();
  std::vector<double> times;
  const auto start = Clock::now();
  while (static_cast<int64_t>(times.size()) < kLeastRuns ||
         (ms_since(start) < 1000 * options.seconds && static_cast<int64_t>(times.size()) < kMostRuns)) {
    const auto begin = Clock::now();
    run();
    times.push_back(ms_since(begin));
    if (options.progress) options.progress(ms_since(start) / (1000 * options.seconds));
  }
  total_ms = ms_since(start);
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace

int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) {
      const std::string_view number = trim(std::string_view(line).substr(6));
      return parse_int(number.substr(0, number.find(' '))).value_or(0) * 1024;
    }
  return 0;
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

MachinePeak measure_machine_peak() {
  MachinePeak peak;
  peak.instruction_set = std::string(kernels::isa_row(kernels::active_isa()).name);
  peak.ops_per_second = kernels::measure_peak();
  // The best of a few passes over a block that no cache holds.
  constexpr size_t kBytes = size_t{96} << 20;
  std::vector<uint64_t> block(kBytes / sizeof(uint64_t), 1);
  double best = 0;
  uint64_t sum = 0;
  for (int pass = 0; pass < 3; ++pass) {
    const auto start = Clock::now();
    std::array<uint64_t, 8> parts{};
    for (size_t i = 0; i + 8 <= block.size(); i += 8)
      for (size_t k = 0; k < 8; ++k) parts[k] += block[i + k];
    for (const uint64_t part : parts) sum += part;
    best = std::max(best, static_cast<double>(kBytes) / (ms_since(start) * 1e-3));
  }
  peak.bytes_per_second = sum > 0 ? best : 0;
  return peak;
}

BenchResult bench_model(const Model& model, const std::string& file, ThreadPool& threads, const BenchOptions& options) {
  BenchResult result;
  result.file = file;
  result.threads = threads.size();
  const NamedTensors inputs = make_inputs(model.graph, options.batch);
  const auto load_start = Clock::now();
  Inference inference(model.graph, threads, {/*reference_float=*/false});
  inference.prepare(inputs);
  result.load_ms = ms_since(load_start);
  Session* session = inference.session();
  result.engine = is_low_bit(model.graph) ? "lowbit integer" : "lowbit float";
  if (session) {
    const plan::Plan& plan = session->plan();
    result.arena_bytes = plan.arena_bytes;
    result.weight_bytes = plan.weight_bytes;
    for (const plan::StepDetails& details : plan.details) {
      result.macs += details.macs;
      result.reference_steps += details.reference;
    }
  } else {
    result.engine += ", reference executor";
    result.note = inference.why_not_planned();
  }
  double total_ms = 0;
  const std::vector<double> times = measure(inference, inputs, options, total_ms);
  const int64_t samples = usable_batch(model.graph, options.batch);
  result.per_second = 1000 * static_cast<double>(samples) * static_cast<double>(times.size()) / total_ms;
  result.ms_min = times.front();
  result.ms_median = at_share(times, 0.5);
  result.ms_p99 = at_share(times, 0.99);
  result.peak_memory_bytes = peak_memory_bytes();
  if (result.macs > 0) result.ops_per_second = 2e3 * static_cast<double>(result.macs) / result.ms_median;
  if (is_low_bit(model.graph) && options.peak.ops_per_second > 0)
    result.share_of_peak = result.ops_per_second / (options.peak.ops_per_second * threads.size());
  if (!options.per_layer || !session) return result;
  StepTimes step_times(*session);
  step_times.measuring = true;
  measure(inference, inputs, options, total_ms);
  result.layers = step_times.layers(options.peak, threads.size());
  return result;
}

}  // namespace lowbit
