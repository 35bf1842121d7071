#include "lowbit/api/quantize.h"

#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/methods/activation_system.h"
#include "lowbit/methods/annotate.h"
#include "lowbit/numbers/rounding.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/passes/passes.h"

namespace lowbit {
namespace {

/// Samples of one calibration step: enough to keep the cores busy, few enough to keep activations small.
int64_t calibration_batch(const Graph& graph, const DataSet& data) {
  const Batch first = data.read(0, 1);
  int64_t elements = 1;
  for (const auto& [name, tensor] : first.inputs) elements = std::max(elements, tensor.count());
  constexpr int64_t kElementsPerBatch = int64_t{1} << 20;
  return usable_batch(graph, std::clamp<int64_t>(kElementsPerBatch / elements, 1, 64));
}

/// Appends the rows of `more` to `batch`.
void append(Batch& batch, Batch more) {
  if (batch.inputs.empty()) {
    batch = std::move(more);
    return;
  }
  for (size_t i = 0; i < batch.inputs.size(); ++i) {
    Tensor &have = batch.inputs[i].second, &add = more.inputs[i].second;
    if (have.dtype() != add.dtype() ||
        Dims(have.dims().begin() + 1, have.dims().end()) != Dims(add.dims().begin() + 1, add.dims().end()))
      throw Error(ErrorCode::bad_file,
                  fmt::format("samples have different shapes, {} and {} (resize or crop them: --preprocess)",
                              dims_text(have.dims()), dims_text(add.dims())));
    Dims dims = have.dims();
    dims[0] += add.dim(0);
    Tensor joined = Tensor::uninitialized(have.dtype(), dims);
    std::byte* out = joined.mutable_raw();
    std::copy(have.raw().begin(), have.raw().end(), out);
    std::copy(add.raw().begin(), add.raw().end(), out + have.byte_size());
    have = std::move(joined);
  }
  batch.labels.insert(batch.labels.end(), more.labels.begin(), more.labels.end());
}

/// `wanted` samples spread evenly over the data: data sets are often sorted by class or recording, so the first ones
/// would not stand for all.
class CalibrationSamples {
 public:
  CalibrationSamples(const Graph& graph, const DataSet& data, int64_t wanted, ThreadPool& threads, Progress progress)
      : graph_(graph),
        data_(data),
        count_(std::min(wanted, data.size())),
        batch_(calibration_batch(graph, data)),
        threads_(threads),
        progress_(std::move(progress)) {}

  int64_t count() const { return count_; }

  /// A pass from the first sample on.
  BatchSource source() const {
    return [this, next = int64_t{0}](NamedTensors& inputs) mutable -> int64_t {
      if (progress_) progress_("calibrating", static_cast<double>(next) / static_cast<double>(count_));
      const int64_t n = std::min(batch_, count_ - next);
      if (n <= 0) return 0;
      Batch batch;
      for (int64_t i = 0; i < n;) {  // neighbours are read together
        const int64_t at = position(next + i);
        int64_t run = 1;
        while (i + run < n && position(next + i + run) == at + run) ++run;
        append(batch, data_.read(at, run, &threads_));
        i += run;
      }
      next += n;
      inputs = bind_inputs(graph_, batch);
      return n;
    };
  }

 private:
  int64_t position(int64_t i) const { return (2 * i + 1) * data_.size() / (2 * count_); }
  const Graph& graph_;
  const DataSet& data_;
  int64_t count_, batch_;
  ThreadPool& threads_;
  Progress progress_;
};

std::string fingerprint(const Graph& graph) {
  const std::string text = dump(graph);
  return fmt::format("{:016x}", XXH64(text.data(), text.size(), 0));
}

/// What calibration has to look at.
CalibrateOptions observed(const Graph& graph, const Placement& placement, const Recipe& recipe) {
  CalibrateOptions options;
  options.values = values_to_observe(graph, placement);
  const bool corrects = std::find(recipe.methods.begin(), recipe.methods.end(), "bias-correct") != recipe.methods.end();
  if (!corrects) return options;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (placement.nodes[n].weight == kNone || !(node.is("Conv") || node.is("Gemm"))) continue;
    options.values.insert(graph.value(node.inputs[0]).name);
    options.per_channel.insert(graph.value(node.inputs[0]).name);
  }
  return options;
}

bool needs_statistics(const Placement& placement) {
  return std::any_of(placement.quantized.begin(), placement.quantized.end(), [](char q) { return q != 0; });
}

void add_notes(const QuantizeResult& result, std::vector<std::string>& notes) {
  if (result.samples > 0 && result.samples < 32)
    notes.push_back(fmt::format(
        "only {} calibration samples: ranges may be too narrow for other data (give more with --data, --samples)",
        result.samples));
  for (const auto& [name, statistics] : result.statistics.tensors)
    if (statistics.nonfinite > 0)
      notes.push_back(fmt::format("{}: {} of {} calibration values were NaN or infinite and were left out",
                                  printable(name), statistics.nonfinite, statistics.count));
}

}  // namespace

QuantizeResult quantize(const Model& model, const DataSet* data, const Recipe& recipe, ThreadPool& threads,
                        const Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  QuantizeResult result;
  result.model = model;
  result.recipe = recipe;
  Graph& graph = result.model.graph;
  if (is_low_bit(graph))
    throw Error(ErrorCode::bad_argument, "the model is low-bit already (lowbit dequantize makes a float model of it)",
                model.source_path);
  parse_rounding(recipe.rounding);
  std::vector<const Method*> methods;
  for (const std::string& name : recipe.methods)
    if (name != "none") methods.push_back(&find_method(name));
  prepare_for_quantization(graph);
  const Placement placement = place(graph, recipe, data != nullptr);
  const Graph float_graph = graph;

  std::optional<CalibrationSamples> samples;
  if (data && needs_statistics(placement)) {
    samples.emplace(float_graph, *data, recipe.samples, threads, progress);
    result.samples = samples->count();
    result.statistics = calibrate(float_graph, samples->source(), threads, observed(float_graph, placement, recipe));
    result.statistics.model_fingerprint = fingerprint(float_graph);
    result.statistics.data_description = data->describe();
  }
  if (progress) progress("quantizing", 0);
  annotate(graph, recipe, placement, samples ? &result.statistics : nullptr, result.notes);
  const MethodContext context{recipe,
                              threads,
                              &float_graph,
                              samples ? &result.statistics : nullptr,
                              samples ? std::function<BatchSource()>([&] { return samples->source(); }) : nullptr,
                              progress};
  for (const Method* method : methods) {
    if (method->needs_data && !samples) continue;
    method->apply(graph, context);
  }
  graph.remove_dead();
  result.coverage = coverage_of(graph, placement, samples ? &result.statistics : nullptr, &float_graph);
  add_notes(result, result.notes);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

namespace {

/// Annotations of activations whose parameters only calibration knows: the bytes of a file do not depend on them.
void add_stand_ins(Graph& graph, const Placement& placement, const Recipe& recipe) {
  const std::vector<int32_t> producers = graph.producers();
  for (size_t v = 0; v < placement.quantized.size(); ++v) {
    if (!placement.quantized[v]) continue;
    const int32_t n = producers[v];
    const auto& own = n >= 0 ? placement.nodes[static_cast<size_t>(n)].settings.activations : std::nullopt;
    const std::string name = own && *own != "none" ? *own : recipe.activations;
    Quantization quantization;
    quantization.format = parse_activation_system(name).format;
    quantization.params.assign(static_cast<size_t>(quantization.format.system->param_count(quantization.format)), 0.0f);
    if (!quantization.params.empty()) quantization.params[0] = 1;
    graph.values[v].quantization = std::move(quantization);
  }
}

}  // namespace

Coverage plan_quantization(const Model& model, bool with_data, const Recipe& recipe, Model* planned) {
  Model prepared = model;
  prepare_for_quantization(prepared.graph);
  const Placement placement = place(prepared.graph, recipe, with_data);
  // Weights can be annotated without data; activations are shown by the format they would get.
  Recipe weights = recipe;
  Placement only_weights = placement;
  std::fill(only_weights.quantized.begin(), only_weights.quantized.end(), char{0});
  for (NodePlan& plan : only_weights.nodes)
    if (plan.role == NodeRole::integer || plan.role == NodeRole::concat) plan.role = NodeRole::movement;
  std::vector<std::string> notes;
  annotate(prepared.graph, weights, only_weights, nullptr, notes);
  Coverage coverage = coverage_of(prepared.graph, placement, nullptr);
  std::map<std::string, size_t> by_name;
  for (size_t n = 0; n < prepared.graph.nodes.size(); ++n) by_name[prepared.graph.nodes[n].name] = n;
  for (LayerDecision& layer : coverage.layers) {
    const auto found = by_name.find(layer.name);
    if (found == by_name.end()) continue;  // inside a subgraph
    const size_t n = found->second;
    const ValueId result = prepared.graph.nodes[n].output();
    if (result != kNone && placement.quantized[static_cast<size_t>(result)])
      layer.activations = *placement.nodes[n].settings.activations + "/tensor";
  }
  if (planned) {
    add_stand_ins(prepared.graph, placement, recipe);
    *planned = std::move(prepared);
  }
  return coverage;
}

namespace {

void dequantize_graph(Graph& graph) {
  for (Value& value : graph.values) {
    if (!value.quantization) continue;
    if (value.constant && !value.quantization->dynamic)
      value.constant = fake_quantize(*value.quantization, to_float32(*value.constant));
    value.quantization.reset();
  }
  for (Node& node : graph.nodes)
    for (auto& [key, attribute] : node.attributes)
      if (auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body) {
        *body = std::make_shared<Graph>(**body);  // copies of a graph share their bodies
        dequantize_graph(**body);
      }
}

}  // namespace

Model dequantize(const Model& model) {
  Model result = model;
  dequantize_graph(result.graph);
  return result;
}

}  // namespace lowbit
