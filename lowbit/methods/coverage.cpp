// The coverage ledger: what became of every node and weight.
#include <cmath>
#include <map>

#include "lowbit/core/graph_index.h"
#include "lowbit/methods/annotate.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

constexpr int64_t kFloatBytes = 4;

std::string annotation_text(const Graph& graph, ValueId id) {
  if (id == kNone) return "";
  const auto& quantization = graph.value(id).quantization;
  if (!quantization)
    return is_float(graph.value(id).dtype) || graph.value(id).dtype == DType::undefined
               ? "float32"
               : std::string(dtype_name(graph.value(id).dtype));
  return to_string(quantization->format) + "/" + to_string(quantization->granularity);
}

/// Shapes for one sample, by value; absent where inference cannot tell.
std::vector<std::optional<Dims>> sample_shapes(const Graph& graph) {
  Graph bound = graph;
  try {
    bind_symbols(bound, {}, /*fallback=*/1);
  } catch (const Error&) {
    bound = graph;  // a network that does not take size 1 along some free dimension: count what is known without
  }
  std::vector<std::optional<Dims>> shapes;
  for (const Value& value : bound.values) {
    if (value.constant)
      shapes.push_back(value.constant->dims());
    else
      shapes.push_back(value.shape ? concrete(*value.shape) : std::nullopt);
  }
  return shapes;
}

int64_t macs_of(const Graph& graph, const Node& node, const std::vector<std::optional<Dims>>& shapes) {
  const auto dims_of = [&](const std::vector<ValueId>& ids) {
    std::vector<const Dims*> result;
    for (ValueId id : ids)
      result.push_back(id == kNone || !shapes[static_cast<size_t>(id)] ? nullptr : &*shapes[static_cast<size_t>(id)]);
    return result;
  };
  return multiply_adds(graph, node, dims_of(node.inputs), dims_of(node.outputs));
}

/// Bytes of the float constants inside the subgraphs of a node; they are not looked into, so they stay as they are.
int64_t subgraph_weight_bytes(const Node& node) {
  int64_t total = 0;
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute)) {
      for (const Value& value : (*body)->values)
        if (value.constant && is_float(value.constant->dtype()))
          total += static_cast<int64_t>(value.constant->byte_size());
      for (const Node& inner : (*body)->nodes) total += subgraph_weight_bytes(inner);
    }
  return total;
}

TensorError weight_error(const Quantization& quantization, const Tensor& weight) {
  const Tensor decoded = fake_quantize(quantization, weight);
  TensorError error;
  double signal = 0, noise = 0, dot = 0, other = 0;
  for (int64_t i = 0; i < weight.count(); ++i) {
    const double x = weight.data<float>()[i], y = decoded.data<float>()[i];
    signal += x * x;
    noise += (x - y) * (x - y);
    dot += x * y;
    other += y * y;
    error.max_abs = std::max(error.max_abs, std::abs(x - y));
  }
  error.mse = weight.count() > 0 ? noise / static_cast<double>(weight.count()) : 0;
  error.sqnr_db = noise > 0 ? 10 * std::log10(signal / noise) : INFINITY;
  error.cosine = signal > 0 && other > 0 ? dot / std::sqrt(signal * other) : 1;
  return error;
}

}  // namespace

Coverage coverage_of(const Graph& graph, const Placement& placement, const StatisticsSet* statistics) {
  Coverage coverage;
  const auto shapes = sample_shapes(graph);
  const GraphIndex index(graph);
  int64_t macs = 0, low_macs = 0, bytes = 0, low_bytes = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const NodePlan& plan = placement.nodes[n];
    const OpDef* op = find_op(node);
    if (op && op->kind == OpKind::shape) continue;  // computes with shapes, never with activations
    LayerDecision decision;
    decision.name = node.name;
    decision.op = node.full_op();
    decision.low_bit = plan.role != NodeRole::floating;
    decision.reason = plan.reason;
    decision.macs = macs_of(graph, node, shapes);
    decision.activations = annotation_text(graph, node.output());
    const bool computes = plan.role == NodeRole::anchor || plan.role == NodeRole::integer;
    if (computes && decision.activations == "float32") {
      // Rounded behind the activation that is fused into it, or not at all: then say what it reads.
      const int32_t next = only_reader(graph, index, node.output());
      const std::string behind =
          next >= 0 ? annotation_text(graph, graph.nodes[static_cast<size_t>(next)].output()) : "float32";
      const bool fused =
          next >= 0 && behind != "float32" &&
          (graph.nodes[static_cast<size_t>(next)].is("Relu") || graph.nodes[static_cast<size_t>(next)].is("Clip"));
      decision.activations = fused ? behind : annotation_text(graph, node.input(0)) + " -> float32";
      if (fused && decision.reason.empty()) decision.reason = "with " + graph.nodes[static_cast<size_t>(next)].name;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Tensor* constant = graph.constant(node.inputs[i]);
      const auto& quantization = graph.value(node.inputs[i]).quantization;
      if (!constant || (!is_float(constant->dtype()) && !quantization)) continue;
      const int64_t float_bytes =
          is_float(constant->dtype()) ? static_cast<int64_t>(constant->byte_size()) : constant->count() * kFloatBytes;
      decision.float_weight_bytes += float_bytes;
      decision.weight_bytes += quantization ? (storage_bits(*quantization, constant->dims()) + 7) / 8 : float_bytes;
      if (quantization) low_bytes += float_bytes;
      bytes += float_bytes;
      if (node.inputs[i] != plan.weight && !(i == 1 && op && op->kind == OpKind::compute)) continue;
      decision.weights = annotation_text(graph, node.inputs[i]);
      if (quantization && constant->dtype() == DType::float32)
        decision.weight_error = weight_error(*quantization, *constant);
    }
    if (const int64_t inner = subgraph_weight_bytes(node); inner > 0) {
      decision.float_weight_bytes += inner;
      decision.weight_bytes += inner;
      bytes += inner;
    }
    if (statistics && node.output() != kNone) {
      const auto seen =
          statistics->tensors.find(graph.value(placement.parameters_of[static_cast<size_t>(node.outputs[0])]).name);
      if (seen != statistics->tensors.end()) decision.samples = seen->second.samples;
    }
    macs += decision.macs;
    if (decision.low_bit) low_macs += decision.macs;
    coverage.layers.push_back(std::move(decision));
  }
  coverage.quantized_share_macs = macs > 0 ? static_cast<double>(low_macs) / static_cast<double>(macs) : 0;
  coverage.quantized_share_bytes = bytes > 0 ? static_cast<double>(low_bytes) / static_cast<double>(bytes) : 0;
  return coverage;
}

}  // namespace lowbit
