// Upsample (opsets 7 to 9) and the older forms of Resize. Before opset 11 a coordinate was out / scale ("asymmetric");
// nearest took the floor when enlarging and the ceiling when shrinking, which is what ONNX's own cases of opset 10
// show.
#include <algorithm>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/formats/onnx/upgrade.h"

namespace lowbit::onnx_format {
namespace {

/// "floor" or "ceil"; floor where the scales are known only at run time.
std::string nearest_mode(const GraphScope& scope, const Node& node, ValueId scales) {
  const Tensor* constant = scope.constant(scales);
  if (!constant || constant->dtype() != DType::float32) return "floor";
  const auto values = constant->values<float>();
  const bool shrinks = std::any_of(values.begin(), values.end(), [](float s) { return s < 1; });
  const bool enlarges = std::any_of(values.begin(), values.end(), [](float s) { return s > 1; });
  if (shrinks && enlarges)
    throw Error(ErrorCode::unsupported,
                fmt::format("node '{}': {} of before opset 11 that enlarges one axis and shrinks another is not "
                            "supported (export with opset 11 or newer)",
                            printable(node.name, 80), node.op));
  return shrinks ? "ceil" : "floor";
}

void emit_asymmetric(GraphScope& scope, Node node, ValueId scales) {
  const std::string mode = node.attr_string("mode", "nearest");
  node.attributes.clear();
  if (mode == "nearest") node.attributes["nearest_mode"] = nearest_mode(scope, node, scales);
  node.attributes["mode"] = mode == "bilinear" ? std::string("linear") : mode;
  node.attributes["coordinate_transformation_mode"] = std::string("asymmetric");
  node.op = "Resize";
  node.inputs = {node.input(0), kNone, scales};
  scope.emit(std::move(node));
}

}  // namespace

void upgrade_resize_10(GraphScope& scope, Node node, int64_t) {
  const ValueId scales = node.input(1);
  emit_asymmetric(scope, std::move(node), scales);
}

void upgrade_resize(GraphScope& scope, Node node, int64_t) {
  // Opset 11 demanded roi and scales, so exporters gave empty tensors for the one that is not meant.
  for (size_t position : {size_t{1}, size_t{2}}) {
    const Tensor* tensor = scope.constant(node.input(position));
    if (tensor && tensor->count() == 0) node.inputs[position] = kNone;
  }
  scope.emit(std::move(node));
}

void upgrade_upsample(GraphScope& scope, Node node, int64_t opset) {
  ValueId scales = node.input(1);
  if (opset < 9) {
    std::vector<float> values = node.attr_floats("scales");
    if (values.empty())  // opset 1: two numbers for NCHW
      values = {1, 1, node.attr_float("height_scale", 1), node.attr_float("width_scale", 1)};
    scales =
        scope.fresh_constant(node.name + ".scales", Tensor::from<float>({static_cast<int64_t>(values.size())}, values));
  }
  emit_asymmetric(scope, std::move(node), scales);
}

}  // namespace lowbit::onnx_format
