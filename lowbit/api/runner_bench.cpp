// Latency, throughput and memory of a model on made-up inputs.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "lowbit/api/runner.h"
#include "lowbit/base/random.h"
#include "lowbit/base/text.h"
#include "lowbit/ops/op.h"

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

/// Multiply-adds of every node, for one run with these inputs.
std::map<std::string, int64_t> count_macs(const Graph& graph, const NamedTensors& inputs, ThreadPool& threads) {
  std::map<ValueId, Dims> dims;
  ExecutorOptions options;
  options.on_value = [&](ValueId id, const Tensor& tensor, bool) { dims[id] = tensor.dims(); };
  Executor(graph, threads, options).run_ordered(inputs);
  std::map<std::string, int64_t> macs;
  for (const Node& node : graph.nodes) {
    const auto dims_of = [&](ValueId id) -> const Dims* {
      if (id == kNone) return nullptr;
      if (const Tensor* constant = graph.constant(id)) return &constant->dims();
      const auto found = dims.find(id);
      return found == dims.end() ? nullptr : &found->second;
    };
    std::vector<const Dims*> in, out;
    for (const ValueId id : node.inputs) in.push_back(dims_of(id));
    for (const ValueId id : node.outputs) out.push_back(dims_of(id));
    // The result of a layer whose activation was fused into it has the shape of the activation's.
    if (!out.empty() && !out[0])
      for (const Node& reader : graph.nodes)
        if (reader.input(0) == node.outputs[0] && (reader.is("Relu") || reader.is("Clip")))
          out[0] = dims_of(reader.output());
    if (!in.empty() && in[0] && !out.empty() && out[0]) macs[node.name] = multiply_adds(graph, node, in, out);
  }
  return macs;
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

BenchResult bench_model(const Model& model, const std::string& file, ThreadPool& threads, const BenchOptions& options) {
  BenchResult result;
  result.file = file;
  result.engine = is_low_bit(model.graph) ? "lowbit integer" : "lowbit float";
  result.threads = threads.size();
  const NamedTensors inputs = make_inputs(model.graph, options.batch);
  std::map<std::string, std::vector<double>> layer_times;
  ExecutorOptions executor_options;
  bool measuring = false;
  if (options.per_layer)
    executor_options.on_time = [&](const Node& node, int64_t nanoseconds) {
      if (measuring) layer_times[node.name].push_back(static_cast<double>(nanoseconds) * 1e-6);
    };
  const auto load_start = Clock::now();
  Executor executor(model.graph, threads, executor_options);
  result.load_ms = ms_since(load_start);
  for (int i = 0; i < options.warmup; ++i) executor.run_ordered(inputs);
  measuring = true;
  std::vector<double> times;
  const auto start = Clock::now();
  while (static_cast<int64_t>(times.size()) < kLeastRuns ||
         (ms_since(start) < 1000 * options.seconds && static_cast<int64_t>(times.size()) < kMostRuns)) {
    const auto begin = Clock::now();
    executor.run_ordered(inputs);
    times.push_back(ms_since(begin));
  }
  const double total_ms = ms_since(start);
  const int64_t samples = usable_batch(model.graph, options.batch);
  result.per_second = 1000 * static_cast<double>(samples) * static_cast<double>(times.size()) / total_ms;
  std::sort(times.begin(), times.end());
  result.ms_min = times.front();
  result.ms_median = at_share(times, 0.5);
  result.ms_p99 = at_share(times, 0.99);
  result.peak_memory_bytes = peak_memory_bytes();
  if (!options.per_layer) return result;
  const std::map<std::string, int64_t> macs = count_macs(model.graph, inputs, threads);
  for (const Node& node : model.graph.nodes) {
    const auto found = layer_times.find(node.name);
    if (found == layer_times.end()) continue;
    std::sort(found->second.begin(), found->second.end());
    const auto count = macs.find(node.name);
    result.layers.push_back(
        {node.name, node.full_op(), at_share(found->second, 0.5), count == macs.end() ? 0 : count->second});
  }
  return result;
}

}  // namespace lowbit
