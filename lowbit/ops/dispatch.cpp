#include "lowbit/ops/dispatch.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/base/text.h"
#include "lowbit/core/onnx_types.h"

namespace lowbit {
void node_error(const Node& node, const std::string& message) {
  throw Error(ErrorCode::bad_file, message, fmt::format("node '{}' ({})", printable(node.name), printable(node.op)));
}

void type_error(const Node& node, DType type) {
  node_error(node, fmt::format("the operator is not defined for elements of type {}", dtype_name(type)));
}

void require_same_type(const Node& node, DType a, DType b) {
  if (a != b)
    node_error(node, fmt::format("the inputs have different element types, {} and {}", dtype_name(a), dtype_name(b)));
}

Tensor make_output(const Node& node, DType type, Dims dims) {
  const int64_t bytes = checked_mul(element_count(dims), static_cast<int64_t>(std::max<size_t>(dtype_bytes(type), 1)));
  if (bytes > kMaxOutputBytes)
    throw Error(ErrorCode::out_of_memory,
                fmt::format("the output {} of {} is above the limit of 16 GiB", dims_text(dims), dtype_name(type)),
                fmt::format("node '{}' ({})", printable(node.name), printable(node.op)));
  return Tensor::uninitialized(type, std::move(dims));
}

DType dtype_from_onnx(const Node& node, int64_t code) {
  const std::optional<DType> type = dtype_of_onnx(code);
  if (!type) node_error(node, fmt::format("the ONNX data type {} is not supported", code));
  return *type;
}

Tensor widened(const Tensor& tensor) {
  return tensor.dtype() == DType::float16 || tensor.dtype() == DType::bfloat16 ? to_float32(tensor) : tensor;
}

Tensor narrowed(Tensor tensor, DType type) { return tensor.dtype() == type ? tensor : tensor.cast(type); }

std::vector<int64_t> int_values(const EvalContext& context, size_t input) {
  const Tensor& tensor = context.input(input);
  if (!is_integer(tensor.dtype()) && tensor.dtype() != DType::bool_) type_error(context.node(), tensor.dtype());
  return to_int64(tensor);
}

int64_t int_scalar(const EvalContext& context, size_t input) {
  const Tensor& tensor = context.input(input);
  if (tensor.count() != 1)
    node_error(context.node(),
               fmt::format("input {} has the shape {}, it must be one number", input, dims_text(tensor.dims())));
  return int_values(context, input)[0];
}

double number_scalar(const EvalContext& context, size_t input) {
  const Tensor& tensor = context.input(input);
  if (tensor.count() != 1)
    node_error(context.node(),
               fmt::format("input {} has the shape {}, it must be one number", input, dims_text(tensor.dims())));
  return tensor.cast(DType::float64).data<double>()[0];
}

int64_t checked_axis(const Node& node, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) node_error(node, fmt::format("axis {} is outside the rank {}", axis, rank));
  return axis < 0 ? axis + rank : axis;
}

std::vector<int64_t> checked_axes(const Node& node, std::vector<int64_t> axes, int64_t rank) {
  for (int64_t& axis : axes) axis = checked_axis(node, axis, rank);
  std::vector<int64_t> sorted = axes;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    node_error(node, fmt::format("an axis is listed twice in [{}]", fmt::join(axes, ", ")));
  return axes;
}

}  // namespace lowbit
