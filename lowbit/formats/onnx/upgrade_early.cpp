// Opsets 1 to 6 (2017): what changed up to opset 7, said in terms of opset 7. In-place hints are dropped, broadcasting
// becomes that of NumPy, and attributes become the inputs that they are today.
#include <array>
#include <utility>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/formats/onnx/upgrade.h"

namespace lowbit::onnx_format {
namespace {

[[noreturn]] void needs_ranks(const Node& node, const std::string& what) {
  throw Error(ErrorCode::unsupported, fmt::format("node '{}': {} of opsets before 7 is only supported with known ranks",
                                                  printable(node.name, 80), what));
}

/// Appends `count` dimensions of 1 to a value.
ValueId with_trailing_ones(GraphScope& scope, const Node& node, ValueId id, int64_t count) {
  const auto rank = scope.rank(id);
  if (const Tensor* constant = scope.constant(id)) {
    Dims dims = constant->dims();
    dims.insert(dims.end(), static_cast<size_t>(count), 1);
    return scope.fresh_constant(scope.graph().value(id).name + ".aligned", constant->reshaped(dims));
  }
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < count; ++i) axes.push_back(*rank + i);
  Node unsqueeze;
  unsqueeze.op = "Unsqueeze";
  unsqueeze.name = node.name + ".align";
  unsqueeze.inputs = {id, scope.fresh_constant(node.name + ".axes", Tensor::from<int64_t>({count}, axes))};
  const ValueId out = scope.fresh_value(scope.graph().value(id).name + ".aligned");
  unsqueeze.outputs = {out};
  scope.emit(std::move(unsqueeze));
  return out;
}

/// The second input lay along the first one's dimensions from `axis` on.
void align_from_axis(GraphScope& scope, Node& node, int64_t axis) {
  const auto a = scope.rank(node.input(0)), b = scope.rank(node.input(1));
  if (b && *b == 0) return;
  if (!a || !b) needs_ranks(node, node.op + " with broadcasting along an axis");
  const int64_t trailing = *a - (axis < 0 ? axis + *a : axis) - *b;
  if (trailing < 0) needs_ranks(node, node.op + " with an axis out of range");
  if (trailing > 0) node.inputs[1] = with_trailing_ones(scope, node, node.input(1), trailing);
}

/// PRelu's slope had one number per channel, or one in all.
void align_slope(GraphScope& scope, Node& node) {
  const Tensor* slope = scope.constant(node.input(1));
  if (slope && slope->count() == 1) return;
  align_from_axis(scope, node, 1);
}

void cast_to_number(Node& node) {
  static constexpr std::array<std::pair<std::string_view, int64_t>, 13> kTypes = {{{"FLOAT", 1},
                                                                                   {"UINT8", 2},
                                                                                   {"INT8", 3},
                                                                                   {"UINT16", 4},
                                                                                   {"INT16", 5},
                                                                                   {"INT32", 6},
                                                                                   {"INT64", 7},
                                                                                   {"STRING", 8},
                                                                                   {"BOOL", 9},
                                                                                   {"FLOAT16", 10},
                                                                                   {"DOUBLE", 11},
                                                                                   {"UINT32", 12},
                                                                                   {"UINT64", 13}}};
  const std::string name = node.attr_string("to", "");
  for (const auto& [text, number] : kTypes)
    if (text == name) {
      node.attributes["to"] = number;
      return;
    }
  throw Error(ErrorCode::bad_file, fmt::format("casts to the unknown type '{}'", printable(name, 40)));
}

void repeats_to_input(GraphScope& scope, Node& node) {
  const Tensor* tiles = scope.constant(node.input(1));
  const Tensor* axis = scope.constant(node.input(2));
  const auto rank = scope.rank(node.input(0));
  if (!tiles || !axis || !rank || tiles->count() != 1 || axis->count() != 1) needs_ranks(node, "Tile");
  std::vector<int64_t> repeats(static_cast<size_t>(*rank), 1);
  const Tensor at = axis->cast(DType::int64), times = tiles->cast(DType::int64);
  repeats[static_cast<size_t>(normalize_axis(*at.data<int64_t>(), *rank))] = *times.data<int64_t>();
  node.inputs = {node.input(0), scope.fresh_constant(node.name + ".repeats", Tensor::from<int64_t>({*rank}, repeats))};
}

}  // namespace

void upgrade_to_opset_7(GraphScope& scope, Node& node, int64_t opset) {
  if (!node.domain.empty() || opset >= 7) return;
  for (const char* hint : {"consumed_inputs", "is_test"}) node.attributes.erase(hint);
  if (node.has_attr("broadcast")) {
    const bool along_axis = node.attr_int("broadcast", 0) != 0 && node.has_attr("axis");
    if (along_axis) align_from_axis(scope, node, node.attr_int("axis", 0));
    node.attributes.erase("broadcast");
    node.attributes.erase("axis");
  }
  if (node.op == "PRelu") align_slope(scope, node);
  if (node.op == "Concat" && opset < 4 && !node.has_attr("axis")) node.attributes["axis"] = int64_t{1};
  if (node.op == "Reshape" && opset < 5) ints_to_input(scope, node, "shape", 1);
  if (node.op == "Cast" && opset < 6) cast_to_number(node);
  if (node.op == "Tile" && opset < 6) repeats_to_input(scope, node);
}

}  // namespace lowbit::onnx_format
