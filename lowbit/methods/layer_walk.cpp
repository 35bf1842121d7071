#include "lowbit/methods/layer_walk.h"

#include <algorithm>

#include "lowbit/core/weights.h"
#include "lowbit/ops/evaluate.h"

namespace lowbit {
namespace {

bool has_subgraph(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(), [](const auto& attribute) {
    return std::holds_alternative<std::shared_ptr<Graph>>(attribute.second);
  });
}

/// Values that a node reads, those of its subgraphs included.
std::vector<ValueId> all_inputs(const Node& node) {
  std::vector<ValueId> ids;
  for (ValueId id : node.inputs)
    if (id != kNone) ids.push_back(id);
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body)
      for (const auto& [outer, inner] : (*body)->captures) ids.push_back(outer);
  return ids;
}

}  // namespace

Tensor effective_constant(const Value& value) {
  return is_annotated_constant(value) ? weight_values(value) : *value.constant;
}

LayerWalk::LayerWalk(Graph& graph, const MethodContext& context, std::string_view what)
    : graph_(graph),
      float_graph_(*context.float_graph),
      context_(context),
      what_(what),
      float_(kWalkMemoryBytes / 2),
      low_(kWalkMemoryBytes / 2) {
  LOWBIT_CHECK(graph.nodes.size() == float_graph_.nodes.size() && graph.values.size() >= float_graph_.values.size());
  for (size_t n = 0; n < graph.nodes.size(); ++n) LOWBIT_CHECK(graph.nodes[n].name == float_graph_.nodes[n].name);
}

LayerWalk::~LayerWalk() = default;

void LayerWalk::load_inputs() {
  const BatchSource source = context_.batches();
  NamedTensors inputs;
  for (int64_t count = 0; (count = source(inputs)) > 0; inputs.clear()) {
    const int64_t chunk = chunks();
    for (ValueId id : float_graph_.inputs) {
      const auto found = inputs.find(float_graph_.value(id).name);
      LOWBIT_CHECK(found != inputs.end());
      float_.put(chunk, id, found->second);
      low_.put(chunk, id, found->second);
    }
    chunk_samples_.push_back(count);
    samples_ += count;
  }
  for (ValueId id : graph_.inputs) round(id);
}

void LayerWalk::find_last_readers(size_t last) {
  dead_.assign(last + 1, {});
  std::vector<char> seen(graph_.values.size(), 0);
  for (size_t n = last + 1; n-- > 0;) {
    std::vector<ValueId> ids = all_inputs(graph_.nodes[n]);
    for (ValueId id : graph_.nodes[n].outputs)
      if (id != kNone) ids.push_back(id);
    for (ValueId id : ids) {
      if (seen[static_cast<size_t>(id)] || graph_.constant(id)) continue;
      seen[static_cast<size_t>(id)] = 1;
      dead_[n].push_back(id);
    }
  }
}

std::vector<Tensor> LayerWalk::run_node(const Graph& graph, size_t n, int64_t chunk,
                                        const std::vector<Tensor>& constants, const ActivationStore& store) const {
  const Node& node = graph.nodes[n];
  if (!has_subgraph(node)) {
    std::vector<Tensor> held(node.inputs.size());
    std::vector<const Tensor*> inputs(node.inputs.size(), nullptr);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNone) continue;
      held[i] = constants[i].defined() ? constants[i] : store.get(chunk, node.inputs[i]);
      inputs[i] = &held[i];
    }
    return evaluate_node(node, inputs, context_.threads, true);
  }
  // A graph of this node alone, so that its subgraphs find what they capture.
  Graph alone;
  alone.values = graph.values;
  alone.nodes = {node};
  std::vector<Tensor> ordered;
  NamedTensors given;
  for (ValueId id : all_inputs(node)) {
    if (graph.constant(id) || std::find(alone.inputs.begin(), alone.inputs.end(), id) != alone.inputs.end()) continue;
    alone.inputs.push_back(id);
    given[graph.value(id).name] = store.get(chunk, id);
  }
  for (ValueId id : node.outputs)
    if (id != kNone) alone.outputs.push_back(id);
  std::vector<Tensor> made = Evaluator(alone, context_.threads).run_ordered(given), outputs(node.outputs.size());
  size_t next = 0;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNone) outputs[i] = std::move(made[next++]);
  return outputs;
}

void LayerWalk::compute(const Graph& graph, size_t n, ActivationStore& store) {
  const Node& node = graph.nodes[n];
  std::vector<Tensor> constants(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (graph.constant(node.inputs[i])) constants[i] = effective_constant(graph.value(node.inputs[i]));
  for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
    std::vector<Tensor> outputs = run_node(graph, n, chunk, constants, store);
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNone) store.put(chunk, node.outputs[i], std::move(outputs[i]));
  }
}

void LayerWalk::round(ValueId id) {
  const auto& quantization = graph_.value(id).quantization;
  if (!quantization || quantization->dynamic) return;
  // Chunks are independent; what comes back from the file is not shared between tasks.
  for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
    const Tensor x = low_.get(chunk, id);
    if (is_float(x.dtype())) low_.put(chunk, id, fake_quantize(*quantization, to_float32(x)).cast(x.dtype()));
  }
}

void LayerWalk::run(const Hooks& hooks, size_t last) {
  LOWBIT_CHECK(chunk_samples_.empty() && last < graph_.nodes.size());
  load_inputs();
  find_last_readers(last);
  for (size_t n = 0; n <= last; ++n) {
    if (context_.progress) context_.progress(what_, static_cast<double>(n) / static_cast<double>(last + 1));
    compute(float_graph_, n, float_);
    if (hooks.before) hooks.before(n);
    compute(graph_, n, low_);
    if (hooks.after) hooks.after(n);
    for (ValueId id : graph_.nodes[n].outputs)
      if (id != kNone) round(id);
    for (ValueId id : dead_[n]) {
      float_.drop(id);
      low_.drop(id);
    }
  }
}

Tensor LayerWalk::float_value(int64_t chunk, ValueId id) const {
  return float_graph_.constant(id) ? *float_graph_.constant(id) : float_.get(chunk, id);
}

Tensor LayerWalk::low_value(int64_t chunk, ValueId id) const {
  return graph_.constant(id) ? effective_constant(graph_.value(id)) : low_.get(chunk, id);
}

}  // namespace lowbit
