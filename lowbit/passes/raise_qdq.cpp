#include "lowbit/passes/raise_qdq.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/core/weights.h"
#include "lowbit/passes/qdq_params.h"
#include "lowbit/passes/raise_qoperator.h"
#include "lowbit/passes/rewrite.h"

namespace lowbit {
namespace {

bool is_quantized(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    return node.op == "QuantizeLinear" || node.op == "DequantizeLinear" || node.op == "DynamicQuantizeLinear" ||
           node.op.starts_with("QLinear") || node.op == "QGemm";
  });
}

/// Scales may come from Constant nodes.
void raise_constant_nodes(Graph& graph) {
  std::set<int32_t> dead;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const Tensor* tensor = node.is("Constant") ? node.attr_tensor("value") : nullptr;
    if (!tensor || node.output() == kNone) continue;
    Value& value = graph.value(node.output());
    value.dtype = tensor->dtype();
    value.shape = to_shape(tensor->dims());
    value.constant = *tensor;
    dead.insert(static_cast<int32_t>(n));
  }
  erase_nodes(graph, dead);
}

/// DequantizeLinear of a constant whose parameters are no annotation: biases (int32), scale 0.
std::optional<Tensor> plain_decoded(const Graph& graph, const Node& node, const Tensor& codes) {
  const Tensor* scale = graph.constant(node.input(1));
  const Tensor* zero = graph.constant(node.input(2));
  if (!scale || scale->dtype() != DType::float32 || (node.input(2) != kNone && !zero)) return std::nullopt;
  if ((zero && zero->count() != scale->count()) || node.attr_int("block_size", 0) > 0) return std::nullopt;
  // Wider codes, which ONNX does not have here, could overflow the difference.
  if (dtype_bits(codes.dtype()) > 32 || (zero && (!is_integer(zero->dtype()) || dtype_bits(zero->dtype()) > 32)))
    return std::nullopt;
  int64_t axis = 0, inner = 1;
  if (scale->count() != 1) {
    axis = node.attr_int("axis", 1);
    if (axis < 0) axis += codes.rank();
    if (codes.rank() == 1) axis = 0;
    if (axis < 0 || axis >= codes.rank() || codes.dim(axis) != scale->count()) return std::nullopt;
    for (int64_t i = axis + 1; i < codes.rank(); ++i) inner *= codes.dim(i);
  }
  const Tensor integers = codes.cast(DType::int64);
  const Tensor zeros = zero ? zero->cast(DType::int64) : Tensor(DType::int64, scale->dims());
  Tensor values = Tensor::uninitialized(DType::float32, codes.dims());
  for (int64_t i = 0; i < codes.count(); ++i) {
    const int64_t c = scale->count() == 1 ? 0 : i / inner % scale->count();
    values.mutable_data<float>()[i] =
        static_cast<float>(integers.data<int64_t>()[i] - zeros.data<int64_t>()[c]) * scale->data<float>()[c];
  }
  return values;
}

bool raise_constant(Graph& graph, const Node& node) {
  const Tensor* codes = graph.constant(node.input(0));
  if (!codes || !is_integer(codes->dtype())) return false;
  const Shape shape = to_shape(codes->dims());
  Value& value = graph.value(node.output());
  if (auto quantization = annotation_of(graph, node, codes->dtype(), &shape)) {
    const Tensor stored = *codes;
    narrow_if_unused(*quantization, stored);
    value.constant = stored.cast(code_dtype(*quantization));
    value.quantization = std::move(quantization);
  } else if (auto decoded = plain_decoded(graph, node, *codes)) {
    value.constant = std::move(*decoded);
  } else {
    return false;
  }
  value.dtype = DType::float32;
  value.shape = shape;
  return true;
}

int raise_constants(Graph& graph) {
  std::set<int32_t> dead;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (graph.nodes[n].is("DequantizeLinear") && graph.nodes[n].output() != kNone &&
        raise_constant(graph, graph.nodes[n]))
      dead.insert(static_cast<int32_t>(n));
  erase_nodes(graph, dead);
  return static_cast<int>(dead.size());
}

const Shape* shape_of(const Graph& graph, ValueId id) {
  return graph.value(id).shape ? &*graph.value(id).shape : nullptr;
}

DType code_type(const Graph& graph, const Node& quantize) {
  if (const Tensor* zero = graph.constant(quantize.input(2))) return zero->dtype();
  return graph.value(quantize.output()).dtype == DType::undefined ? DType::uint8 : graph.value(quantize.output()).dtype;
}

/// The readers of the codes, if all are DequantizeLinear with the parameters of the QuantizeLinear.
std::optional<std::vector<int32_t>> paired_readers(const Graph& graph, const GraphIndex& index, const Node& quantize,
                                                   const Quantization& meaning, DType codes) {
  std::vector<int32_t> readers;
  if (graph.is_output(quantize.output()) || index.readers(quantize.output()).empty()) return std::nullopt;
  for (const Graph::Use& use : index.readers(quantize.output())) {
    if (use.position != 0) return std::nullopt;
    const Node& reader = graph.nodes[static_cast<size_t>(use.node)];
    if (!reader.is("DequantizeLinear")) return std::nullopt;
    const auto other = annotation_of(graph, reader, codes, shape_of(graph, quantize.input(0)));
    if (!other || !(*other == meaning)) return std::nullopt;
    readers.push_back(use.node);
  }
  return readers;
}

/// Every reader quantizes the value in this way, so the annotation may sit on the value itself.
bool all_readers_mean(const Graph& graph, const GraphIndex& index, ValueId x, const Quantization& meaning) {
  if (graph.is_output(x)) return false;
  const auto& present = graph.value(x).quantization;
  if (present && !(*present == meaning)) return false;
  const auto& readers = index.readers(x);
  return std::all_of(readers.begin(), readers.end(), [&](const Graph::Use& use) {
    const Node& reader = graph.nodes[static_cast<size_t>(use.node)];
    if (use.position != 0 || !reader.is("QuantizeLinear") || reader.input(0) != x) return false;
    const DType codes = code_type(graph, reader);
    const auto other = annotation_of(graph, reader, codes, shape_of(graph, x));
    return other && *other == meaning && paired_readers(graph, index, reader, meaning, codes);
  });
}

/// One QuantizeLinear with its DequantizeLinear nodes becomes an annotation. Returns the number of nodes that it took.
int raise_pair(Graph& graph, const GraphIndex& index, int32_t n, std::set<int32_t>& dead) {
  const Node quantize = graph.nodes[static_cast<size_t>(n)];
  const ValueId x = quantize.input(0);
  if (x == kNone || quantize.output() == kNone) return 0;
  const DType codes = code_type(graph, quantize);
  const auto meaning = annotation_of(graph, quantize, codes, shape_of(graph, x));
  if (!meaning) return 0;
  const auto readers = paired_readers(graph, index, quantize, *meaning, codes);
  if (!readers) return 0;
  const bool shared = !all_readers_mean(graph, index, x, *meaning);
  Value& source = graph.value(x);
  if (source.constant && shared) return 0;
  if (source.constant && !source.quantization) {
    if (source.constant->dtype() != DType::float32) return 0;
    source.constant = encode_tensor(*meaning, *source.constant).cast(code_dtype(*meaning));
  }
  ValueId target = x;
  if (shared) {
    // Others read the value unquantized (or with other parameters): the annotation sits on a copy.
    Node& identity = graph.nodes[static_cast<size_t>(n)];
    identity.op = "Identity";
    identity.inputs = {x};
    identity.attributes.clear();
    target = identity.output();
    graph.value(target).dtype = DType::float32;
    graph.value(target).shape = graph.value(x).shape;
  } else {
    dead.insert(n);
  }
  graph.value(target).quantization = meaning;
  for (int32_t reader : *readers) {
    const ValueId y = graph.nodes[static_cast<size_t>(reader)].output();
    graph.nodes[static_cast<size_t>(reader)].outputs.clear();
    if (y != kNone) graph.replace_uses(y, target);
    dead.insert(reader);
  }
  return static_cast<int>(readers->size()) + (shared ? 0 : 1);
}

int raise_pairs(Graph& graph) {
  int removed = 0;
  std::set<int32_t> dead;
  const GraphIndex index(graph);
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (graph.nodes[n].is("QuantizeLinear")) removed += raise_pair(graph, index, static_cast<int32_t>(n), dead);
  erase_nodes(graph, dead);
  return removed;
}

/// A scale that is no positive number means nothing: dividing by it gives no code. Zero may stand in a
/// DequantizeLinear, where it means that all values are zero.
void check_scales(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    const bool quantizes = node.is("QuantizeLinear");
    if (!quantizes && !node.is("DequantizeLinear")) continue;
    const Tensor* scale = graph.constant(node.input(1));
    if (!scale || !is_float(scale->dtype())) continue;
    const Tensor floats = to_float32(*scale);
    for (const float s : floats.values<float>())
      if (!std::isfinite(s) || s < 0 || (quantizes && s == 0))
        throw Error(ErrorCode::bad_file,
                    fmt::format("has the scale {}, but scales are positive numbers (export the model again)", s),
                    fmt::format("node '{}' ({})", printable(node.name), node.op));
  }
}

}  // namespace

int raise_qdq(Graph& graph) {
  if (!is_quantized(graph)) return 0;
  const int before = static_cast<int>(graph.nodes.size());
  raise_constant_nodes(graph);
  check_scales(graph);
  int changed = expand_qoperators(graph) + raise_dynamic(graph);
  graph.sort();
  if (move_floats(graph) > 0) graph.sort();
  changed += raise_constants(graph);
  changed += raise_pairs(graph);
  graph.remove_dead();
  graph.sort();
  return changed == 0 ? 0 : std::max(0, before - static_cast<int>(graph.nodes.size()));
}

}  // namespace lowbit
