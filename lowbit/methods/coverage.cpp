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
  const bool by_row = quantization->granularity.kind == Granularity::Kind::channel;
  const char* dynamic = by_row ? "dynamic-token" : "dynamic";
  return to_string(quantization->format) + "/" +
         (quantization->dynamic ? dynamic : to_string(quantization->granularity));
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

/// weight: the float values; stored: the annotated constant's.
TensorError weight_error(const Quantization& quantization, const Tensor& weight, const Tensor& stored) {
  const Tensor decoded = fake_quantize(quantization, stored);
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

/// Bytes as float, of all weights and of those that became low-bit.
struct WeightBytes {
  int64_t all = 0, low = 0;
};

void add_weight(const Value& value, LayerDecision& decision, WeightBytes& bytes) {
  const Dims& dims = value.constant->dims();
  const int64_t as_float =
      value.quantization ? element_count(dims) * 4 : static_cast<int64_t>(value.constant->byte_size());
  decision.float_weight_bytes += as_float;
  decision.weight_bytes += value.quantization ? (storage_bits(*value.quantization, dims) + 7) / 8 : as_float;
  if (value.quantization) bytes.low += as_float;
  bytes.all += as_float;
}

/// The layers with weights inside a subgraph. Their multiply-adds depend on what runs, so none are counted.
void describe_body(const Graph& body, std::vector<LayerDecision>& layers, WeightBytes& bytes) {
  for (const Node& node : body.nodes) {
    LayerDecision decision;
    decision.name = node.name;
    decision.op = node.full_op();
    for (ValueId id : node.inputs) {
      if (id == kNone || !body.constant(id)) continue;
      const Value& value = body.value(id);
      if (!is_float(value.constant->dtype()) && !value.quantization) continue;
      add_weight(value, decision, bytes);
      if (!value.quantization || !decision.weights.empty()) continue;
      decision.weights = annotation_text(body, id);
      if (value.constant->dtype() == DType::float32)
        decision.weight_error = weight_error(*value.quantization, *value.constant, *value.constant);
    }
    if (decision.float_weight_bytes > 0) {
      decision.low_bit = !decision.weights.empty();
      if (!decision.low_bit) decision.weights = "float32";
      decision.activations = "float32";
      decision.reason = decision.low_bit ? "weights only: inside a subgraph" : "no low-bit weights, inside a subgraph";
      layers.push_back(std::move(decision));
    }
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* inner = std::get_if<std::shared_ptr<Graph>>(&attribute); inner && *inner)
        describe_body(**inner, layers, bytes);
  }
}

}  // namespace

Coverage coverage_of(const Graph& graph, const Placement& placement, const StatisticsSet* statistics,
                     const Graph* float_graph) {
  Coverage coverage;
  const auto shapes = sample_shapes(graph);
  const GraphIndex index(graph);
  int64_t macs = 0, low_macs = 0;
  WeightBytes bytes;
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
    const bool computes =
        plan.role == NodeRole::anchor || plan.role == NodeRole::integer || plan.role == NodeRole::dynamic;
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
      if (!constant || (!is_float(constant->dtype()) && !graph.value(node.inputs[i]).quantization)) continue;
      const Value& value = graph.value(node.inputs[i]);
      add_weight(value, decision, bytes);
      const bool weight = std::any_of(plan.weights.begin(), plan.weights.end(),
                                      [&](const WeightSlot& slot) { return slot.input == i; });
      if (!weight && !(i == 1 && op && op->kind == OpKind::compute)) continue;
      if (decision.weights.empty()) decision.weights = annotation_text(graph, node.inputs[i]);
      if (!value.quantization || constant->dtype() != DType::float32 || decision.weight_error.mse > 0) continue;
      const Tensor* original = float_graph && n < float_graph->nodes.size()
                                   ? float_graph->constant(float_graph->nodes[n].input(i))
                                   : nullptr;
      const bool same_shape = original && original->dtype() == DType::float32 && original->dims() == constant->dims();
      decision.weight_error = weight_error(*value.quantization, same_shape ? *original : *constant, *constant);
    }
    std::vector<LayerDecision> inner;
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body)
        describe_body(**body, inner, bytes);
    if (statistics && node.output() != kNone) {
      const auto seen =
          statistics->tensors.find(graph.value(placement.parameters_of[static_cast<size_t>(node.outputs[0])]).name);
      if (seen != statistics->tensors.end()) decision.samples = seen->second.samples;
    }
    macs += decision.macs;
    if (decision.low_bit) low_macs += decision.macs;
    coverage.layers.push_back(std::move(decision));
    coverage.layers.insert(coverage.layers.end(), inner.begin(), inner.end());
  }
  coverage.quantized_share_macs = macs > 0 ? static_cast<double>(low_macs) / static_cast<double>(macs) : 0;
  coverage.quantized_share_bytes = bytes.all > 0 ? static_cast<double>(bytes.low) / static_cast<double>(bytes.all) : 0;
  return coverage;
}

}  // namespace lowbit
