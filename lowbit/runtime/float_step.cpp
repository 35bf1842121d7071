#include <set>

#include "lowbit/core/weights.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/op.h"
#include "lowbit/runtime/step.h"

namespace lowbit {
namespace {

/// The float tensor of a slot: decoded if the value is annotated.
Tensor float_value(const Graph& graph, ValueId id, const Tensor& slot) {
  const auto& quantization = graph.value(id).quantization;
  if (!quantization || quantization->dynamic) return slot;
  return dequantize_activation(*quantization, slot);
}

/// Writes a float result: encoded if the value is annotated.
void store_float(const Graph& graph, ValueId id, Tensor result, Frame& frame) {
  const auto& quantization = graph.value(id).quantization;
  const bool encoded = quantization && !quantization->dynamic;
  frame.set(id, encoded ? quantize_activation(*quantization, result, frame.clipped_at(id)) : std::move(result));
}

/// Runs a node with subgraphs by the evaluator: a graph of this node alone, whose inputs are what the node and its
/// bodies read.
std::vector<Tensor> run_control(const Graph& lone, const std::vector<ValueId>& read, const std::vector<Tensor>& values,
                                ThreadPool& threads) {
  NamedTensors inputs;
  for (size_t i = 0; i < read.size(); ++i) inputs[lone.value(read[i]).name] = values[i];
  return Evaluator(lone, threads).run_ordered(inputs);
}

/// The step of If, Loop, Scan.
Step make_control_step(const Graph& graph, int32_t n) {
  const Node& node = graph.nodes[static_cast<size_t>(n)];
  Step step;
  step.nodes = {n};
  step.info.kernel = "float (has subgraphs)";
  std::set<ValueId> read, constants;
  const auto reads = [&](ValueId id) { (graph.constant(id) ? constants : read).insert(id); };
  for (ValueId id : node.inputs)
    if (id != kNone) reads(id);
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute))
      for (const auto& [outer, inner] : (*body)->captures) reads(outer);
  step.inputs.assign(read.begin(), read.end());
  for (ValueId id : node.outputs)
    if (id != kNone) step.outputs.push_back(id);
  auto lone = std::make_shared<Graph>();
  lone->values = graph.values;  // same numbers, so that node and captures need no change; tensors are shared
  lone->nodes = {node};
  lone->inputs = step.inputs;
  lone->outputs = step.outputs;
  for (ValueId id : constants) {
    Value& value = lone->value(id);
    if (is_annotated_constant(value)) value.constant = weight_values(value);
  }
  step.run = [&graph, lone, read = step.inputs, made = step.outputs](Frame& frame) {
    std::vector<Tensor> values;
    for (ValueId id : read) values.push_back(float_value(graph, id, frame.at(id)));
    std::vector<Tensor> outputs = run_control(*lone, read, values, frame.threads);
    for (size_t i = 0; i < made.size(); ++i) store_float(graph, made[i], std::move(outputs[i]), frame);
  };
  return step;
}

}  // namespace

Step make_float_step(const Graph& graph, int32_t n, std::string why) {
  const Node& node = graph.nodes[static_cast<size_t>(n)];
  const OpDef* op = find_op(node);
  if (op && op->kind == OpKind::control) return make_control_step(graph, n);
  Step step;
  step.nodes = {n};
  step.info.kernel = why.empty() ? "float" : "float (" + why + ")";
  // Annotated constants are decoded once: the operator computes with exactly the values that the codes stand for.
  auto constants = std::make_shared<std::vector<Tensor>>(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    if (id == kNone) continue;
    const Tensor* constant = graph.constant(id);
    if (!constant) {
      step.inputs.push_back(id);
      continue;
    }
    (*constants)[i] = is_annotated_constant(graph.value(id)) ? weight_values(graph.value(id)) : *constant;
  }
  for (ValueId id : node.outputs)
    if (id != kNone) step.outputs.push_back(id);
  step.run = [&graph, &node, constants](Frame& frame) {
    std::vector<Tensor> decoded(node.inputs.size());
    std::vector<const Tensor*> inputs(node.inputs.size(), nullptr);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNone) continue;
      if ((*constants)[i].defined()) {
        inputs[i] = &(*constants)[i];
        continue;
      }
      decoded[i] = float_value(graph, node.inputs[i], frame.at(node.inputs[i]));
      inputs[i] = &decoded[i];
    }
    std::vector<Tensor> outputs = evaluate_node(node, inputs, frame.threads, /*accelerated=*/true);
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNone) store_float(graph, node.outputs[i], std::move(outputs[i]), frame);
  };
  return step;
}

}  // namespace lowbit
