#include "lowbit/methods/layer_matrix.h"

#include <algorithm>

namespace lowbit {
namespace {

bool convolves(const Node& node) { return node.is("Conv") || node.is("ConvTranspose"); }

/// The constant vector operand of an Add, as input position, or nothing.
std::optional<size_t> bias_operand(const Graph& graph, const Node& node) {
  if (!node.is("Add")) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const Tensor* constant = graph.constant(node.input(i));
    if (constant && constant->dtype() == DType::float32 && constant->rank() >= 1 &&
        constant->dims().back() == constant->count())
      return i;
  }
  return std::nullopt;
}

int64_t output_channels(const Node& node, const Tensor& weight) {
  if (node.is("Conv")) return weight.dim(0);
  if (node.is("ConvTranspose")) return weight.dim(1) * std::max<int64_t>(node.attr_int("group", 1), 1);
  return weight.dim(node.attr_int("transB", 0) ? 0 : 1);
}

}  // namespace

std::optional<LayerMatrix> layer_matrix(const Node& node, const Dims& weight) {
  LayerMatrix m;
  if (node.is("Conv") && weight.size() >= 3) {
    m.groups = std::max<int64_t>(node.attr_int("group", 1), 1);
    if (weight[0] % m.groups != 0) return std::nullopt;
    m.rows = weight[0] / m.groups;
    m.columns = element_count(Dims(weight.begin() + 1, weight.end()));
    m.row_stride = m.columns;
  } else if (weight.size() == 2 && (node.is("MatMul") || (node.is("Gemm") && node.attr_float("alpha", 1) == 1 &&
                                                          !node.attr_int("transA", 0)))) {
    const bool transposed_weight = node.is("Gemm") && node.attr_int("transB", 0) != 0;
    m.rows = weight[transposed_weight ? 0 : 1];
    m.columns = weight[transposed_weight ? 1 : 0];
    m.row_stride = transposed_weight ? m.columns : 1;
    m.column_stride = transposed_weight ? 1 : m.rows;
  } else {
    return std::nullopt;
  }
  m.group_stride = m.rows * m.columns;
  if (m.rows < 1 || m.columns < 1) return std::nullopt;
  return m;
}

bool has_low_bit_weight(const Graph& graph, const Node& node) {
  if (!(convolves(node) || node.is("Gemm") || node.is("MatMul"))) return false;
  const Tensor* weight = graph.constant(node.input(1));
  return weight && graph.value(node.inputs[1]).quantization && !graph.value(node.inputs[1]).quantization->dynamic;
}

int64_t output_axis(const Node& node, int64_t rank) { return convolves(node) ? 1 : rank - 1; }

bool can_shift(const Graph& graph, const GraphIndex& index, size_t n) {
  const Node& node = graph.nodes[n];
  if (const auto operand = bias_operand(graph, node)) {
    const ValueId product = node.inputs[1 - *operand];
    const int32_t producer = index.producer(product);
    if (producer < 0) return false;
    const Node& layer = graph.nodes[static_cast<size_t>(producer)];
    const Tensor* weight = graph.constant(layer.input(1));
    return layer.is("MatMul") && has_low_bit_weight(graph, layer) &&
           weight->dims().back() == graph.constant(node.inputs[*operand])->count();
  }
  if (!(convolves(node) || node.is("Gemm")) || !has_low_bit_weight(graph, node)) return false;
  if (node.is("Gemm") && node.attr_float("beta", 1) != 1) return false;
  const Tensor* bias = graph.constant(node.input(2));
  if (node.input(2) == kNone) return true;
  if (!bias || !is_float(bias->dtype()) || graph.value(node.inputs[2]).quantization) return false;
  const int64_t channels = output_channels(node, *graph.constant(node.inputs[1]));
  return bias->count() == 1 || (bias->count() == channels && bias->dims().back() == channels);
}

bool shift_bias(Graph& graph, size_t n, const std::vector<double>& shift) {
  Node& node = graph.nodes[n];
  const auto operand = bias_operand(graph, node);
  const size_t at = operand ? *operand : 2;
  const auto channels = static_cast<int64_t>(shift.size());
  const Tensor* old = graph.constant(node.input(at));
  if (old && old->count() != channels && old->count() != 1) return false;
  const Tensor before = old ? to_float32(*old) : Tensor(DType::float32, {1});
  Tensor after(DType::float32, old && old->count() == channels && old->rank() > 0 ? old->dims() : Dims{channels});
  for (int64_t c = 0; c < channels; ++c)
    after.mutable_data<float>()[c] = static_cast<float>(
        static_cast<double>(before.data<float>()[before.count() == 1 ? 0 : c]) + shift[static_cast<size_t>(c)]);
  if (node.inputs.size() <= at) node.inputs.resize(at + 1, kNone);
  if (node.inputs[at] == kNone) {
    node.inputs[at] = graph.add_constant(node.name + "_bias", std::move(after));
    return true;
  }
  Value& value = graph.value(own_constant(graph, node, at));
  if (value.quantization && value.quantization->linear()) {
    // A low-bit operand of an Add: its range follows its values.
    const auto [low, high] = std::minmax_element(after.values<float>().begin(), after.values<float>().end());
    value.quantization = linear_quantization(
        value.quantization->format,
        linear_params(value.quantization->format, std::min(*low, 0.f), std::max(*high, 0.f)), "constant operand");
  }
  value.constant = std::move(after);
  return true;
}

ValueId own_constant(Graph& graph, Node& node, size_t input) {
  const ValueId id = node.inputs[input];
  const size_t readers = graph.uses()[static_cast<size_t>(id)].size() + (graph.is_output(id) ? 1 : 0);
  if (readers <= 1) return id;
  const Tensor copy = *graph.constant(id);
  const ValueId own = graph.add_constant(graph.value(id).name + "_" + node.name, copy);
  graph.value(own).quantization = graph.value(id).quantization;
  node.inputs[input] = own;
  return own;
}

}  // namespace lowbit
