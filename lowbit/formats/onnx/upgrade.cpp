#include "lowbit/formats/onnx/upgrade.h"

#include <array>
#include <limits>

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit::onnx_format {
namespace {

[[noreturn]] void unsupported(const Node& node, const std::string& what) {
  throw Error(ErrorCode::unsupported, fmt::format("node '{}': {}", printable(node.name, 80), what));
}

ValueId int_constant(GraphScope& scope, const Node& node, std::string_view key, std::vector<int64_t> values,
                     bool scalar = false) {
  const Dims dims = scalar ? Dims{} : Dims{static_cast<int64_t>(values.size())};
  return scope.fresh_constant(fmt::format("{}.{}", node.name, key), Tensor::from<int64_t>(dims, values));
}

/// A scalar of the element type of `like`: cast where that is known or all floats are float32, CastLike otherwise.
ValueId float_constant(GraphScope& scope, const Node& node, std::string_view key, float value, ValueId like) {
  const std::string name = fmt::format("{}.{}", node.name, key);
  const DType type = like == kNone ? DType::float32 : scope.graph().value(like).dtype;
  const bool known = is_float(type) || is_integer(type);
  if (known || !scope.mixed_floats())
    return scope.fresh_constant(name, Tensor::scalar(value).cast(known ? type : DType::float32));
  Node cast;
  cast.op = "CastLike";
  cast.inputs = {scope.fresh_constant(name, Tensor::scalar(value)), like};
  const ValueId out = scope.fresh_value(name + ".cast");
  cast.outputs = {out};
  scope.emit(std::move(cast));
  return out;
}

void batch_normalization(GraphScope& scope, Node node, int64_t opset) {
  if (opset < 9 && node.attr_int("spatial", 1) == 0)
    unsupported(node, "BatchNormalization with spatial = 0 is not supported");
  node.attributes.erase("spatial");
  // Exporters left the training outputs in place without reading them. Those that are read are found by validation:
  // the values that nobody makes any more.
  if (node.outputs.size() > 1) node.outputs.resize(1);
  scope.emit(std::move(node));
}

void clip(GraphScope& scope, Node node, int64_t) {
  // The old defaults are the largest finite floats, so both mean "no limit".
  const float lowest = std::numeric_limits<float>::lowest(), highest = std::numeric_limits<float>::max();
  const float low = node.attr_float("min", lowest), high = node.attr_float("max", highest);
  node.inputs.resize(1, kNone);
  const ValueId x = node.input(0);
  if (low > lowest) set_input(node, 1, float_constant(scope, node, "min", low, x));
  if (high < highest) set_input(node, 2, float_constant(scope, node, "max", high, x));
  node.attributes.erase("min");
  node.attributes.erase("max");
  scope.emit(std::move(node));
}

void dft(GraphScope& scope, Node node, int64_t) {
  set_input(node, 2, int_constant(scope, node, "axis", {node.attr_int("axis", 1)}, /*scalar=*/true));
  node.attributes.erase("axis");
  scope.emit(std::move(node));
}

void dropout(GraphScope& scope, Node node, int64_t) {
  const float ratio = node.attr_float("ratio", 0.5f);
  node.attributes.erase("ratio");
  set_input(node, 1, scope.fresh_constant(node.name + ".ratio", Tensor::scalar(ratio)));
  scope.emit(std::move(node));
}

void grid_sample(GraphScope& scope, Node node, int64_t) {
  const std::string mode = node.attr_string("mode", "bilinear");
  node.attributes["mode"] = mode == "bilinear"  ? std::string("linear")
                            : mode == "bicubic" ? std::string("cubic")
                                                : mode;
  scope.emit(std::move(node));
}

/// Opset 18 had one scale and bias per group; now they are per channel. Each group's number is repeated C / groups
/// times: Reshape to [G, 1], Expand to [G, C / G], Reshape to [C].
void group_normalization(GraphScope& scope, Node node, int64_t) {
  const std::string stem = node.name;
  const auto step = [&](std::string op, std::vector<ValueId> inputs, lowbit::Attributes attributes = {}) {
    Node added;
    added.name = stem + "." + op;
    added.op = std::move(op);
    added.inputs = std::move(inputs);
    added.attributes = std::move(attributes);
    const ValueId out = scope.fresh_value(added.name);
    added.outputs = {out};
    scope.emit(std::move(added));
    return out;
  };
  const int64_t groups = node.attr_int("num_groups", 0);
  if (groups <= 0) unsupported(node, fmt::format("GroupNormalization with num_groups = {}", groups));
  const ValueId channels = step("Shape", {node.input(0)}, {{"start", int64_t{1}}, {"end", int64_t{2}}});
  const ValueId count = int_constant(scope, node, "groups", {groups});
  const ValueId each = step("Div", {channels, count});
  const ValueId wide = step("Concat", {count, each}, {{"axis", int64_t{0}}});
  const ValueId tall = int_constant(scope, node, "tall", {groups, 1}), flat = int_constant(scope, node, "flat", {-1});
  for (size_t i : {size_t{1}, size_t{2}})
    set_input(node, i, step("Reshape", {step("Expand", {step("Reshape", {node.input(i), tall}), wide}), flat}));
  scope.emit(std::move(node));
}

void pad(GraphScope& scope, Node node, int64_t) {
  if (!node.has_attr("pads") && node.has_attr("paddings")) node.attributes["pads"] = node.attr_ints("paddings");
  node.attributes.erase("paddings");
  ints_to_input(scope, node, "pads", 1);
  const float value = node.attr_float("value", 0.0f);
  node.attributes.erase("value");
  if (value != 0) set_input(node, 2, float_constant(scope, node, "value", value, node.input(0)));
  scope.emit(std::move(node));
}

void axes_to_input(GraphScope& scope, Node node, int64_t) {
  ints_to_input(scope, node, "axes", 1);
  scope.emit(std::move(node));
}

void roi_align(GraphScope& scope, Node node, int64_t) {
  node.attributes["coordinate_transformation_mode"] = std::string("output_half_pixel");
  scope.emit(std::move(node));
}

void scan_8(GraphScope&, Node node, int64_t) {
  unsupported(node, "Scan of opset 8 is not supported (export with opset 9 or newer)");
}

void scatter(GraphScope& scope, Node node, int64_t) {
  node.op = "ScatterElements";
  scope.emit(std::move(node));
}

void slice(GraphScope& scope, Node node, int64_t) {
  node.inputs.resize(1, kNone);
  ints_to_input(scope, node, "starts", 1);
  ints_to_input(scope, node, "ends", 2);
  ints_to_input(scope, node, "axes", 3);
  scope.emit(std::move(node));
}

void softmax(GraphScope& scope, Node node, int64_t) {
  node.attributes["axis"] = node.attr_int("axis", 1);
  const auto rank = scope.rank(node.input(0)) ? scope.rank(node.input(0)) : scope.rank(node.output());
  if (upgrade_last_axis_softmax(node, rank)) return scope.emit(std::move(node));
  if (rank || !scope.is_main()) return emit_flattened_softmax(scope, std::move(node));
  scope.pending_softmax.push_back(node.output());
  scope.emit(std::move(node));
}

void split(GraphScope& scope, Node node, int64_t opset) {
  if (opset < 13) ints_to_input(scope, node, "split", 1);
  if (node.input(1) == kNone) node.attributes["num_outputs"] = static_cast<int64_t>(node.outputs.size());
  scope.emit(std::move(node));
}

void top_k(GraphScope& scope, Node node, int64_t) {
  set_input(node, 1, int_constant(scope, node, "k", {node.attr_int("k", -1)}));
  node.attributes.erase("k");
  scope.emit(std::move(node));
}

constexpr int64_t kAlways = std::numeric_limits<int64_t>::max();

constexpr std::array kRows = {
    UpgradeRow{"BatchNormalization", 14, batch_normalization},
    UpgradeRow{"Clip", 11, clip},
    UpgradeRow{"DFT", 20, dft},
    UpgradeRow{"Dropout", 12, dropout},
    UpgradeRow{"GridSample", 20, grid_sample},
    UpgradeRow{"GroupNormalization", 21, group_normalization},
    UpgradeRow{"Hardmax", 13, softmax},
    UpgradeRow{"LogSoftmax", 13, softmax},
    UpgradeRow{"Pad", 11, pad},
    UpgradeRow{"ReduceL1", 18, axes_to_input},
    UpgradeRow{"ReduceL2", 18, axes_to_input},
    UpgradeRow{"ReduceLogSum", 18, axes_to_input},
    UpgradeRow{"ReduceLogSumExp", 18, axes_to_input},
    UpgradeRow{"ReduceMax", 18, axes_to_input},
    UpgradeRow{"ReduceMean", 18, axes_to_input},
    UpgradeRow{"ReduceMin", 18, axes_to_input},
    UpgradeRow{"ReduceProd", 18, axes_to_input},
    UpgradeRow{"ReduceSum", 13, axes_to_input},
    UpgradeRow{"ReduceSumSquare", 18, axes_to_input},
    UpgradeRow{"Resize", 11, upgrade_resize_10},
    UpgradeRow{"Resize", kAlways, upgrade_resize},
    UpgradeRow{"RoiAlign", 16, roi_align},
    UpgradeRow{"Scan", 9, scan_8},
    UpgradeRow{"Scatter", kAlways, scatter},
    UpgradeRow{"Slice", 10, slice},
    UpgradeRow{"Softmax", 13, softmax},
    UpgradeRow{"Split", 18, split},
    UpgradeRow{"Squeeze", 13, axes_to_input},
    UpgradeRow{"TopK", 10, top_k},
    UpgradeRow{"Unsqueeze", 13, axes_to_input},
    UpgradeRow{"Upsample", kAlways, upgrade_upsample},
};

}  // namespace

std::span<const UpgradeRow> upgrade_rows() { return kRows; }

void set_input(Node& node, size_t position, ValueId id) {
  if (node.inputs.size() <= position) node.inputs.resize(position + 1, kNone);
  node.inputs[position] = id;
}

void ints_to_input(GraphScope& scope, Node& node, std::string_view key, size_t position) {
  if (!node.has_attr(key)) return;
  set_input(node, position, int_constant(scope, node, key, node.attr_ints(key)));
  node.attributes.erase(node.attributes.find(key));
}

void emit_upgraded(GraphScope& scope, Node node, int64_t opset) {
  scope.claim_name(node);
  upgrade_to_opset_7(scope, node, opset);
  if (node.domain.empty())
    for (const UpgradeRow& row : kRows)
      if (row.op == node.op && opset < row.below) return row.apply(scope, std::move(node), opset);
  scope.emit(std::move(node));
}

bool upgrade_last_axis_softmax(Node& node, std::optional<int64_t> rank) {
  const int64_t axis = node.attr_int("axis", 1);
  if (axis != -1 && (!rank || axis != *rank - 1)) return false;
  node.attributes["axis"] = int64_t{-1};
  return true;
}

void emit_flattened_softmax(GraphScope& scope, Node node) {
  const std::string stem = node.name;
  const ValueId x = node.input(0), y = node.output();
  const auto step = [&](std::string op, std::vector<ValueId> inputs, ValueId out, lowbit::Attributes attributes = {}) {
    Node added;
    added.name = stem + "." + op;
    added.op = std::move(op);
    added.inputs = std::move(inputs);
    added.outputs = {out};
    added.attributes = std::move(attributes);
    scope.emit(std::move(added));
  };
  const ValueId flat = scope.fresh_value(stem + ".flat"), result = scope.fresh_value(stem + ".result"),
                shape = scope.fresh_value(stem + ".shape");
  step("Flatten", {x}, flat, {{"axis", node.attr_int("axis", 1)}});
  step("Shape", {x}, shape);
  node.inputs = {flat};
  node.outputs = {result};
  node.attributes["axis"] = int64_t{-1};
  scope.emit(std::move(node));
  // allowzero: a dimension 0 of the shape is a dimension 0, not "as in the input".
  step("Reshape", {result, shape}, y, {{"allowzero", int64_t{1}}});
}

}  // namespace lowbit::onnx_format
