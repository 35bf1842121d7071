#include "lowbit/formats/onnx/downgrade.h"

#include <algorithm>
#include <array>

#include "lowbit/formats/onnx/types.h"
#include "lowbit/formats/onnx/upgrade.h"

namespace lowbit::onnx_format {
namespace {

/// Operators that opset 17 has not, or has in another form that is not worth saying.
struct NewAttribute {
  std::string_view op, attribute;
  int64_t opset;
};
constexpr std::array kNewAttributes = {
    NewAttribute{"Attention", "left_window_size", 25},
    NewAttribute{"Attention", "right_window_size", 25},
    NewAttribute{"Cast", "round_mode", 24},
    NewAttribute{"CastLike", "round_mode", 24},
    NewAttribute{"DequantizeLinear", "output_dtype", 23},
    NewAttribute{"QuantizeLinear", "precision", 23},
    NewAttribute{"Range", "stash_type", 27},
    NewAttribute{"SpaceToDepth", "mode", 28},
};

struct NewOperator {
  std::string_view op;
  int64_t opset;
};
constexpr std::array kNewOperators = {
    NewOperator{"AffineGrid", 21},
    NewOperator{"Attention", 23},
    NewOperator{"BitCast", 26},
    NewOperator{"BitwiseAnd", 21},
    NewOperator{"BitwiseNot", 21},
    NewOperator{"BitwiseOr", 21},
    NewOperator{"BitwiseXor", 21},
    NewOperator{"CausalConvWithState", 27},
    NewOperator{"CenterCropPad", 21},
    NewOperator{"Col2Im", 21},
    NewOperator{"CumProd", 26},
    NewOperator{"DFT", 21},
    NewOperator{"DeformConv", 21},
    NewOperator{"Gelu", 21},
    NewOperator{"GridSample", 21},
    NewOperator{"GroupNormalization", 21},
    NewOperator{"ImageDecoder", 21},
    NewOperator{"LinearAttention", 27},
    NewOperator{"LpPool", 21},
    NewOperator{"Mish", 21},
    NewOperator{"RMSNormalization", 23},
    NewOperator{"RegexFullMatch", 21},
    NewOperator{"RotaryEmbedding", 23},
    NewOperator{"StringConcat", 21},
    NewOperator{"StringSplit", 21},
    NewOperator{"SwiGLU", 28},
    NewOperator{"Swish", 24},
    NewOperator{"TensorScatter", 24},
};

/// Reductions whose axes were an attribute until opset 17.
constexpr std::array<std::string_view, 9> kReductions = {"ReduceL1",        "ReduceL2",   "ReduceLogSum",
                                                         "ReduceLogSumExp", "ReduceMax",  "ReduceMean",
                                                         "ReduceMin",       "ReduceProd", "ReduceSumSquare"};

bool is_reduction_with_axes(const Node& node) {
  return node.domain.empty() && std::find(kReductions.begin(), kReductions.end(), node.op) != kReductions.end();
}

bool axes_are_sayable(const Graph& graph, const Node& node) {
  const bool given = node.input(1) != kNone;
  if (given && !graph.constant(node.input(1))) return false;
  const bool empty = !given || graph.constant(node.input(1))->count() == 0;
  return !empty || node.attr_int("noop_with_empty_axes", 0) == 0;
}

/// Before opset 18, a Split without sizes needed parts of equal length.
bool splits_evenly(const Graph& graph, const Node& node) {
  if (node.input(1) != kNone) return true;
  const auto& shape = graph.value(node.input(0)).shape;
  if (!shape || shape->empty()) return false;
  const auto rank = static_cast<int64_t>(shape->size());
  const int64_t axis = node.attr_int("axis", 0);
  if (axis < -rank || axis >= rank) return false;
  const Dim& dim = (*shape)[static_cast<size_t>(axis < 0 ? axis + rank : axis)];
  return dim.known() && *dim.size % static_cast<int64_t>(node.outputs.size()) == 0 &&
         node.attr_int("num_outputs", 0) == static_cast<int64_t>(node.outputs.size());
}

bool is_wide(DType type) { return type == DType::int16 || type == DType::uint16; }

bool quantizes_sayably(const Graph& graph, const Node& node) {
  if (node.attr_int("saturate", 1) != 1) return false;
  for (const char* key : {"block_size", "output_dtype", "precision"})
    if (node.attr_int(key, 0) != 0) return false;
  for (ValueId id : {node.input(0), node.input(2)})
    if (id != kNone && is_wide(graph.value(id).dtype)) return false;
  return true;
}

bool sayable_in_17(const Graph& graph, const Node& node) {
  if (is_reduction_with_axes(node)) return axes_are_sayable(graph, node);
  if (node.op == "Split") return splits_evenly(graph, node);
  if (node.op == "Pad") return node.input(3) == kNone && node.attr_string("mode", "constant") != "wrap";
  if (node.op == "Resize")
    return !node.has_attr("axes") && node.attr_int("antialias", 0) == 0 &&
           node.attr_string("keep_aspect_ratio_policy", "stretch") == "stretch" &&
           node.attr_string("coordinate_transformation_mode", "half_pixel") != "half_pixel_symmetric";
  if (node.op == "AveragePool") {
    const auto dilations = node.attr_ints("dilations");
    return std::all_of(dilations.begin(), dilations.end(), [](int64_t d) { return d == 1; });
  }
  if (node.op == "ScatterElements" || node.op == "ScatterND") {
    const std::string reduction = node.attr_string("reduction", "none");
    return reduction != "max" && reduction != "min";
  }
  if (node.op == "Cast" || node.op == "CastLike") return node.attr_int("saturate", 1) == 1;
  if (node.op == "QuantizeLinear" || node.op == "DequantizeLinear") return quantizes_sayably(graph, node);
  return true;
}

int64_t needed_by_node(const Graph& graph, const Node& node) {
  int64_t needed = kWidestOpset;
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute))
      needed = std::max(needed, needed_opset(**body));
    else if (const auto* tensor = std::get_if<Tensor>(&attribute))
      needed = std::max(needed, opset_of_dtype(tensor->dtype()));
  if (!node.domain.empty()) return needed;
  for (const NewAttribute& row : kNewAttributes)
    if (row.op == node.op && node.has_attr(row.attribute)) needed = std::max(needed, row.opset);
  for (const NewOperator& row : kNewOperators)
    if (row.op == node.op) needed = std::max(needed, row.opset);
  return sayable_in_17(graph, node) ? needed : std::max(needed, kCanonicalOpset);
}

}  // namespace

int64_t needed_opset(const Graph& graph) {
  int64_t needed = kWidestOpset;
  for (const Value& value : graph.values) {
    needed = std::max(needed, opset_of_dtype(value.dtype));
    if (value.constant) needed = std::max(needed, opset_of_dtype(value.constant->dtype()));
  }
  for (const Node& node : graph.nodes) needed = std::max(needed, needed_by_node(graph, node));
  // Nothing between 17 and 21 is worth a form of its own.
  return needed > kWidestOpset ? std::max(needed, kCanonicalOpset) : needed;
}

Node as_opset_17(const Graph& graph, Node node) {
  if (!node.domain.empty()) return node;
  if (is_reduction_with_axes(node)) {
    if (const Tensor* axes = graph.constant(node.input(1)); axes && axes->count() > 0)
      node.attributes["axes"] = to_int64(*axes);
    if (node.inputs.size() > 1) node.inputs.resize(1);
    node.attributes.erase("noop_with_empty_axes");
  } else if (node.op == "Split") {
    node.attributes.erase("num_outputs");
  } else if (node.op == "Resize") {
    node.attributes.erase("antialias");
    node.attributes.erase("keep_aspect_ratio_policy");
  } else if (node.op == "QuantizeLinear" || node.op == "DequantizeLinear" || node.op == "Cast" ||
             node.op == "CastLike") {
    for (const char* key : {"saturate", "block_size", "output_dtype", "precision"}) node.attributes.erase(key);
  } else if (node.op == "AveragePool") {
    node.attributes.erase("dilations");
  }
  return node;
}

}  // namespace lowbit::onnx_format
