#include "lowbit/api/quantize.h"

#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/api/runner.h"
#include "lowbit/base/resident.h"
#include "lowbit/base/text.h"
#include "lowbit/core/offload.h"
#include "lowbit/core/weights.h"
#include "lowbit/methods/activation_system.h"
#include "lowbit/methods/annotate.h"
#include "lowbit/methods/defaults.h"
#include "lowbit/methods/weight_choice.h"
#include "lowbit/numbers/rounding.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/passes/passes.h"

namespace lowbit {
namespace {

/// Samples of one calibration step: enough to keep the cores busy, few enough to keep activations small.
int64_t calibration_batch(const Graph& graph, const DataSet& data, int threads) {
  const Batch first = data.read(0, 1);
  int64_t elements = 1;
  for (const auto& [name, tensor] : first.inputs) elements = std::max(elements, tensor.count());
  constexpr int64_t kElementsPerBatch = int64_t{5} << 17;
  const int64_t fitting = std::clamp<int64_t>(kElementsPerBatch / elements, 1, 64);
  return usable_batch(graph, (fitting + threads - 1) / threads * threads);  // samples are spread over the threads
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
        batch_(calibration_batch(graph, data, threads.size())),
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
CalibrateOptions observed(const Graph& graph, const Placement& placement, const Recipe& recipe,
                          const std::vector<MethodCall>& methods) {
  CalibrateOptions options;
  options.values = values_to_observe(graph, placement);
  const bool corrects =
      std::any_of(methods.begin(), methods.end(), [](const MethodCall& call) { return call.method->channel_means; });
  const bool chooses = std::any_of(placement.nodes.begin(), placement.nodes.end(),
                                   [](const NodePlan& plan) { return parse_auto(*plan.settings.weights).has_value(); });
  const bool weighs = recipe.weight_range == "weighted" || (chooses && recipe.weight_range != "mse");
  if (!corrects && !weighs) return options;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (placement.nodes[n].weight == kNone || !(node.is("Conv") || node.is("Gemm") || (weighs && node.is("MatMul"))))
      continue;
    options.values.insert(graph.value(node.inputs[0]).name);
    options.per_channel.insert(graph.value(node.inputs[0]).name);
  }
  return options;
}

void apply_methods(Graph& graph, const std::vector<MethodCall>& methods, MethodStage stage, MethodContext& context) {
  for (const MethodCall& call : methods) {
    if (call.method->stage != stage || (call.method->needs_data && !context.batches)) continue;
    context.set = call.set;
    call.method->apply(graph, context);
  }
}

/// The methods that change the float network before anything is measured.
void edit_float_network(Graph& graph, const std::vector<MethodCall>& methods, const DataSet* data, const Recipe& recipe,
                        ThreadPool& threads, const Progress& progress, std::vector<std::string>& notes) {
  const auto edits = [](const MethodCall& call) { return call.method->stage == MethodStage::float_network; };
  if (std::none_of(methods.begin(), methods.end(), edits)) return;
  const Graph original = graph;
  std::optional<CalibrationSamples> samples;
  if (data) samples.emplace(original, *data, recipe.samples, threads, progress);
  MethodContext context{.recipe = recipe,
                        .threads = threads,
                        .float_graph = &original,
                        .statistics = nullptr,
                        .batches = data ? std::function<BatchSource()>([&] { return samples->source(); }) : nullptr,
                        .progress = progress,
                        .placement = nullptr,
                        .set = {},
                        .notes = &notes};
  apply_methods(graph, methods, MethodStage::float_network, context);
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

/// A glob that matches this name only.
std::string exact_glob(const std::string& name) {
  std::string glob;
  for (const char c : name) glob += c == '*' || c == '?' || c == '[' ? fmt::format("[{}]", c) : std::string(1, c);
  return glob;
}

/// Values that no calibration sample computed have no range: the layers that make or read them stay float, and that is
/// said. True if the placement has changed.
bool keep_unseen_float(const Graph& graph, const StatisticsSet& statistics, Recipe& recipe, Placement& placement,
                       std::vector<std::string>& notes) {
  const std::set<std::string> asked = values_to_observe(graph, placement);
  std::set<std::string> layers;
  for (size_t v = 0; v < placement.quantized.size(); ++v) {
    const ValueId id = placement.parameters_of[v];
    const std::string& name = graph.value(id).name;
    if (!placement.quantized[v] || graph.values[v].constant || !asked.contains(name)) continue;
    const auto found = statistics.tensors.find(name);
    if (found != statistics.tensors.end() && found->second.finite() > 0) continue;
    for (const Node& node : graph.nodes) {
      const auto concerns = [&](ValueId other) { return other == static_cast<ValueId>(v); };
      if (std::any_of(node.inputs.begin(), node.inputs.end(), concerns) ||
          std::any_of(node.outputs.begin(), node.outputs.end(), concerns))
        layers.insert(node.name);
    }
  }
  std::vector<std::string> named;
  for (const std::string& layer : layers) {
    const std::string glob = exact_glob(layer);
    if (std::find(recipe.exclude.begin(), recipe.exclude.end(), glob) != recipe.exclude.end()) continue;
    recipe.exclude.push_back(glob);
    named.push_back(layer);
  }
  if (named.empty()) return false;
  notes.push_back(fmt::format("calibration never reached {}: they stay float (calibrate on samples that reach them)",
                              printable(join(named, ", "), 300)));
  placement = place(graph, recipe, true);
  return true;
}

/// Activations that calibration would annotate, with parameters that take as many bytes as the real ones.
void add_placeholders(Graph& graph, const Placement& placement, const Recipe& recipe) {
  const NumberFormat format =
      parse_activation_system(recipe.activations == "none" ? "uint8" : recipe.activations).format;
  Quantization placeholder{format, {}, {}, "minmax over 256 samples"};
  placeholder.params.assign(static_cast<size_t>(format.system->param_count(format)), 0.0f);
  if (!placeholder.params.empty()) placeholder.params[0] = 1;
  for (size_t v = 0; v < placement.quantized.size(); ++v)
    if (placement.quantized[v] && !graph.values[v].quantization && !graph.values[v].constant)
      graph.values[v].quantization = placeholder;
  graph.remove_dead();
}

}  // namespace

QuantizeResult quantize(Model model, const DataSet* data, const Recipe& wanted_recipe, ThreadPool& threads,
                        const Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  QuantizeResult result;
  result.model = std::move(model);
  const Recipe& recipe = result.recipe = with_default_methods(wanted_recipe, data != nullptr, result.notes);
  Graph& graph = result.model.graph;
  if (is_low_bit(graph))
    throw Error(ErrorCode::bad_argument, "the model is low-bit already (lowbit dequantize makes a float model of it)",
                result.model.source_path);
  parse_rounding(recipe.rounding);
  std::vector<MethodCall> methods;
  for (const std::string& name : recipe.methods)
    if (name != "none") methods.push_back(parse_method(name));
  for (const MethodCall& call : methods)
    if (call.method->needs_data && !data)
      throw Error(ErrorCode::bad_argument, fmt::format("{} needs calibration data (give --data)", call.method->name),
                  "--method");
  prepare_for_quantization(graph);
  edit_float_network(graph, methods, data, recipe, threads, progress, result.notes);
  offload_constants(graph);
  Placement placement = place(graph, recipe, data != nullptr);
  const Graph float_graph = graph;

  std::optional<CalibrationSamples> samples;
  const CalibrateOptions wanted = observed(float_graph, placement, recipe, methods);
  const bool needs_data =
      std::any_of(methods.begin(), methods.end(), [](const MethodCall& m) { return m.method->needs_data; });
  if (data && (needs_data || !wanted.values.empty())) {
    samples.emplace(float_graph, *data, recipe.samples, threads, progress);
    result.samples = samples->count();
  }
  if (samples && !wanted.values.empty()) {
    result.statistics = calibrate(float_graph, samples->source(), threads, wanted);
    result.statistics.model_fingerprint = fingerprint(float_graph);
    result.statistics.data_description = data->describe();
  }
  while (samples && keep_unseen_float(graph, result.statistics, result.recipe, placement, result.notes)) {
  }
  return_freed_memory();
  if (progress) progress("quantizing", 0);
  const StatisticsSet* statistics = samples ? &result.statistics : nullptr;
  resolve_auto(graph, statistics, threads, placement, result.recipe, result.notes);
  annotate(graph, recipe, placement, statistics, result.notes, &threads);
  MethodContext context{.recipe = recipe,
                        .threads = threads,
                        .float_graph = &float_graph,
                        .statistics = statistics,
                        .batches = samples ? std::function<BatchSource()>([&] { return samples->source(); }) : nullptr,
                        .progress = progress,
                        .placement = &placement,
                        .set = {},
                        .notes = &result.notes};
  apply_methods(graph, methods, MethodStage::annotated, context);
  graph.remove_dead();
  result.coverage = coverage_of(graph, placement, samples ? &result.statistics : nullptr, &float_graph);
  add_notes(result, result.notes);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

Coverage plan_quantization(const Model& model, bool with_data, const Recipe& recipe, Model* planned) {
  Model prepared = model;
  prepare_for_quantization(prepared.graph);
  Placement placement = place(prepared.graph, recipe, with_data);
  // Weights can be annotated without data; activations are shown by the format they would get.
  Recipe weights = recipe;
  std::vector<std::string> notes;
  ThreadPool threads;
  resolve_auto(prepared.graph, nullptr, threads, placement, weights, notes);
  if (weights.weight_range == "weighted") weights.weight_range = "mse";  // the data are not looked at
  Placement only_weights = placement;
  std::fill(only_weights.quantized.begin(), only_weights.quantized.end(), char{0});
  for (NodePlan& plan : only_weights.nodes)
    if (plan.role == NodeRole::integer || plan.role == NodeRole::concat) plan.role = NodeRole::movement;
  annotate(prepared.graph, weights, only_weights, nullptr, notes, &threads);
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
    add_placeholders(prepared.graph, placement, recipe);
    *planned = std::move(prepared);
  }
  return coverage;
}

namespace {

void dequantize_graph(Graph& graph) {
  for (Value& value : graph.values) {
    if (!value.quantization) continue;
    if (is_annotated_constant(value)) value.constant = weight_values(value);
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
