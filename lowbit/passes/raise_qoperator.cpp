#include "lowbit/passes/raise_qoperator.h"

#include <algorithm>
#include <array>
#include <set>

#include "lowbit/core/graph_index.h"
#include "lowbit/passes/qdq_params.h"

namespace lowbit {
namespace {

/// Positions of the quantized inputs (each followed by scale and zero point) and of the output's scale.
struct Row {
  std::string_view domain, op, float_op;
  std::array<int, 2> data;  ///< first input positions; -1: none
  int output_scale;
};
constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr std::array kRows = {
    Row{"", "QLinearConv", "Conv", {0, 3}, 6},
    Row{"", "QLinearMatMul", "MatMul", {0, 3}, 6},
    Row{kMicrosoft, "QGemm", "Gemm", {0, 3}, 7},
    Row{kMicrosoft, "QLinearAdd", "Add", {0, 3}, 6},
    Row{kMicrosoft, "QLinearMul", "Mul", {0, 3}, 6},
    Row{kMicrosoft, "QLinearAveragePool", "AveragePool", {0, -1}, 3},
    Row{kMicrosoft, "QLinearGlobalAveragePool", "GlobalAveragePool", {0, -1}, 3},
    Row{kMicrosoft, "QLinearSigmoid", "Sigmoid", {0, -1}, 3},
    Row{kMicrosoft, "QLinearLeakyRelu", "LeakyRelu", {0, -1}, 3},
    Row{kMicrosoft, "QLinearSoftmax", "Softmax", {0, -1}, 3},
};

/// Operators that give back elements of their first input; MaxPool because quantizing is monotonic.
constexpr std::array<std::string_view, 15> kMovements = {
    "DepthToSpace", "Expand", "Flatten", "Gather",       "GatherElements", "GatherND", "Identity", "MaxPool",
    "Reshape",      "Slice",  "Split",   "SpaceToDepth", "Transpose",      "Squeeze",  "Unsqueeze"};

class Expander {
 public:
  explicit Expander(Graph& graph) : graph_(graph) {}

  int run() {
    int count = 0;
    const size_t nodes = graph_.nodes.size();
    for (size_t n = 0; n < nodes; ++n) {
      const Node node = graph_.nodes[n];
      if (node.domain == kMicrosoft && node.op == "QLinearConcat") {
        expand_concat(n, node);
      } else {
        const auto row = std::find_if(kRows.begin(), kRows.end(),
                                      [&](const Row& r) { return r.domain == node.domain && r.op == node.op; });
        if (row == kRows.end() || !sayable(node)) continue;
        expand(n, node, *row);
      }
      ++count;
    }
    return count;
  }

 private:
  /// What has no float operator of the same meaning stays as it is.
  static bool sayable(const Node& node) {
    if (node.domain != kMicrosoft) return true;
    return node.attr_int("channels_last", 0) == 0 && (node.op != "QLinearSoftmax" || node.attr_int("opset", 13) >= 13);
  }

  ValueId dequantized(const Node& node, int position, int64_t axis) {
    const auto at = static_cast<size_t>(position);
    return append_node(graph_, "DequantizeLinear", node.name + "_dequantize",
                       {node.input(at), node.input(at + 1), node.input(at + 2)}, {{"axis", axis}});
  }

  void quantize_output(const Node& node, ValueId y, ValueId scale, ValueId zero_point) {
    Node quantize;
    quantize.op = "QuantizeLinear";
    quantize.name = graph_.fresh_node_name(node.name + "_quantize");
    quantize.inputs = {y, scale, zero_point};
    quantize.outputs = {node.output()};
    graph_.nodes.push_back(std::move(quantize));
  }

  void expand(size_t n, const Node& node, const Row& row) {
    std::vector<ValueId> inputs;
    for (int position : row.data)
      if (position >= 0) inputs.push_back(dequantized(node, position, weight_axis(node, position)));
    const ValueId bias = node.op == "QLinearConv" ? node.input(8) : node.op == "QGemm" ? node.input(6) : kNone;
    if (bias != kNone) inputs.push_back(float_bias(node, bias));
    Node& made = graph_.nodes[n];
    made.domain.clear();
    made.op = row.float_op;
    made.inputs = std::move(inputs);
    for (const char* key : {"channels_last", "opset"}) made.attributes.erase(key);
    const auto scale = static_cast<size_t>(row.output_scale);
    if (node.input(scale) == kNone) return;  // QGemm without output scale gives floats
    const ValueId y = graph_.add_value(node.name + "_float", DType::float32, graph_.value(node.output()).shape);
    graph_.nodes[n].outputs = {y};
    quantize_output(node, y, node.input(scale), node.input(scale + 1));
  }

  /// The axis of a weight's scales: output channels of a convolution, columns of a matrix.
  int64_t weight_axis(const Node& node, int position) const {
    if (position == 0) return 1;
    if (node.op == "QLinearConv" || (node.op == "QGemm" && node.attr_int("transB", 0) != 0)) return 0;
    const auto& shape = graph_.value(node.input(static_cast<size_t>(position))).shape;
    return shape && !shape->empty() ? static_cast<int64_t>(shape->size()) - 1 : 1;
  }

  /// int32 codes at scale s_x * s_w (times alpha).
  ValueId float_bias(const Node& node, ValueId codes) {
    const ValueId scale = append_node(graph_, "Mul", node.name + "_bias_scale", {node.input(1), node.input(4)});
    const Tensor *x = graph_.constant(node.input(1)), *w = graph_.constant(node.input(4)), *b = graph_.constant(codes);
    if (!x || !w || !b || x->count() != 1 || w->count() == 0 || x->dtype() != DType::float32 ||
        w->dtype() != DType::float32)
      return append_node(graph_, "DequantizeLinear", node.name + "_bias", {codes, scale}, {{"axis", int64_t{0}}});
    graph_.nodes.pop_back();
    const Tensor integers = b->cast(DType::int64);
    Tensor bias = Tensor::uninitialized(DType::float32, b->dims());
    const double alpha = node.attr_float("alpha", 1.0f);
    for (int64_t i = 0; i < bias.count(); ++i) {
      const double weight_scale = w->data<float>()[w->count() == 1 ? 0 : i % w->count()];
      bias.mutable_data<float>()[i] = static_cast<float>(static_cast<double>(integers.data<int64_t>()[i]) *
                                                         (alpha * x->data<float>()[0] * weight_scale));
    }
    return graph_.add_constant(node.name + "_bias", std::move(bias));
  }

  void expand_concat(size_t n, const Node& node) {
    std::vector<ValueId> inputs;
    for (size_t i = 2; i + 2 < node.inputs.size(); i += 3) inputs.push_back(dequantized(node, static_cast<int>(i), 1));
    const ValueId y = graph_.add_value(node.name + "_float", DType::float32, graph_.value(node.output()).shape);
    Node& made = graph_.nodes[n];
    made.domain.clear();
    made.op = "Concat";
    made.inputs = std::move(inputs);
    made.outputs = {y};
    quantize_output(node, y, node.input(0), node.input(1));
  }

  Graph& graph_;
};

}  // namespace

int expand_qoperators(Graph& graph) { return Expander(graph).run(); }

int move_floats(Graph& graph) {
  int count = 0;
  std::vector<int32_t> made_by = graph.producers();
  const size_t nodes = graph.nodes.size();
  for (size_t n = 0; n < nodes; ++n) {
    const Node node = graph.nodes[n];
    const bool moves = node.domain.empty() && node.outputs.size() == 1 &&
                       std::find(kMovements.begin(), kMovements.end(), node.op) != kMovements.end();
    if (!moves || node.input(0) == kNone) continue;
    const int32_t producer = made_by[static_cast<size_t>(node.input(0))];
    if (producer < 0 || !graph.nodes[static_cast<size_t>(producer)].is("QuantizeLinear")) continue;
    const Node quantize = graph.nodes[static_cast<size_t>(producer)];
    // Parameters for the whole tensor only: others have an axis, which the operator may move.
    const Tensor* scale = graph.constant(quantize.input(1));
    if (!scale || scale->count() != 1) continue;
    const ValueId x = append_node(graph, "DequantizeLinear", node.name + "_dequantize",
                                  {node.input(0), quantize.input(1), quantize.input(2)});
    const ValueId y = graph.add_value(node.name + "_float", DType::float32, graph.value(node.output()).shape);
    graph.nodes[n].inputs[0] = x;
    graph.nodes[n].outputs[0] = y;
    Node again = quantize;
    again.name = graph.fresh_node_name(node.name + "_quantize");
    again.inputs[0] = y;
    again.outputs = {node.output()};
    graph.nodes.push_back(std::move(again));
    // The output is made by a QuantizeLinear now, so a movement behind this one follows.
    made_by = graph.producers();
    ++count;
  }
  return count;
}

}  // namespace lowbit
