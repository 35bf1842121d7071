// op_helpers.h: what the families with large kernels share: refusing bad input, and running a float kernel on the
// 16-bit float types.
#pragma once

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/op.h"

namespace lowbit {

/// Throws Error{bad_file}; the evaluator and the inference add the node's name.
template <typename... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorCode::bad_file, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error{bad_file} unless `condition` holds.
template <typename... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) refuse(format, std::forward<Args>(args)...);
}

/// Throws Error{unsupported}.
template <typename... Args>
[[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorCode::unsupported, fmt::format(format, std::forward<Args>(args)...));
}

/// make_output, all zero.
Tensor zero_output(const Node& node, DType type, Dims dims);

/// Throws Error{bad_file} unless the tensor has exactly these dimensions.
void require_dims(const Tensor& tensor, const Dims& wanted, std::string_view what);

/// The elements of an input that must have the type T; throws type_error otherwise.
template <typename T>
const T* typed_input(const EvalContext& context, size_t i) {
  const Tensor& tensor = context.input(i);
  if (tensor.dtype() != dtype_of<T>) type_error(context.node(), tensor.dtype());
  return tensor.data<T>();
}
/// Null if the input is absent.
template <typename T>
const T* optional_typed_input(const EvalContext& context, size_t i) {
  return context.has_input(i) ? typed_input<T>(context, i) : nullptr;
}

/// Runs kernel.operator()<T>(context) with T = float or double by the type of input `typed_by`. For 16-bit floats the
/// kernel sees float32 inputs and its float32 outputs are narrowed (one rounding, at the end).
template <typename Kernel>
void run_widened(EvalContext& context, Kernel kernel, size_t typed_by = 0) {
  const DType type = context.input(typed_by).dtype();
  if (type == DType::float64) return kernel.template operator()<double>(context);
  if (type == DType::float32) return kernel.template operator()<float>(context);
  if (type != DType::float16 && type != DType::bfloat16) type_error(context.node(), type);
  std::vector<Tensor> storage(context.input_count());
  std::vector<const Tensor*> pointers(context.input_count());
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (!context.has_input(i)) continue;
    storage[i] = widened(context.input(i));
    pointers[i] = &storage[i];
  }
  EvalContext inner(context.node(), std::move(pointers), context.threads());
  kernel.template operator()<float>(inner);
  for (size_t i = 0; i < inner.outputs().size(); ++i) {
    Tensor& output = inner.outputs()[i];
    if (!output.defined()) continue;
    const bool narrow = output.dtype() == DType::float32;
    context.set_output(i, narrow ? narrowed(std::move(output), type) : std::move(output));
  }
}

/// A tensor seen along one axis: [outer, length, inner].
struct AxisView {
  int64_t outer, length, inner;
};
AxisView axis_view(const Dims& dims, int64_t axis);

/// Product of dims[begin, end).
int64_t count_between(const Dims& dims, size_t begin, size_t end);

/// The dimension `axis` of a shape that may be unknown.
inline Dim dim_or_unknown(const Shape* shape, size_t axis) {
  return shape && axis < shape->size() ? (*shape)[axis] : Dim();
}

/// Throws Error{bad_file} if the rank of an input is known and below `least`.
void require_rank(const InferContext& context, size_t input, size_t least);

}  // namespace lowbit
