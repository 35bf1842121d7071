// op_helpers.h: what the operator families share: refusing bad input, allocating outputs within the stated limit, and
// running a float kernel on the 16-bit float types.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lowbit/ops/op.h"

namespace lowbit {

/// Outputs above this many bytes are refused: no layer of a real network comes near, a damaged file easily does.
inline constexpr int64_t kMaxOutputBytes = int64_t{16} << 30;

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

/// An output tensor, not initialised; Error{bad_file} above kMaxOutputBytes.
Tensor new_output(DType type, Dims dims);
/// The same, all zero.
Tensor zero_output(DType type, Dims dims);

/// The one element of an integer tensor; Error{bad_file} naming `what` if it has another count.
int64_t scalar_int(const Tensor& tensor, std::string_view what);
/// The one element of a number tensor as float.
float scalar_float(const Tensor& tensor, std::string_view what);

/// True for the types that float kernels take: float32, float64, float16, bfloat16.
bool is_kernel_float(DType type);

/// The inner context of widened(): 16-bit float inputs as float32.
struct WidenedInputs {
  explicit WidenedInputs(const EvalContext& context);
  std::vector<Tensor> storage;
  std::vector<const Tensor*> pointers;
};

/// Runs kernel.operator()<T>(context) with T = float or double by the type of input `typed_by`. For 16-bit floats the
/// kernel sees float32 inputs and its float32 outputs are narrowed (one rounding, as the standard's function bodies
/// do).
template <typename Kernel>
void widened(EvalContext& context, Kernel kernel, size_t typed_by = 0) {
  const DType type = context.input(typed_by).dtype();
  if (type == DType::float64) return kernel.template operator()<double>(context);
  if (type == DType::float32) return kernel.template operator()<float>(context);
  if (type != DType::float16 && type != DType::bfloat16)
    unsupported("{} does not take {} here", context.node().op, dtype_name(type));
  const WidenedInputs inputs(context);
  EvalContext inner(context.node(), inputs.pointers, context.threads());
  kernel.template operator()<float>(inner);
  for (size_t i = 0; i < inner.outputs().size(); ++i) {
    Tensor& output = inner.outputs()[i];
    if (output.defined())
      context.set_output(i, output.dtype() == DType::float32 ? output.cast(type) : std::move(output));
  }
}

/// Infers output 0 like input 0.
void infer_like_first(InferContext& context);

/// Merges what is known of one dimension twice: a number before a symbol before nothing. Throws Error{bad_file} if the
/// numbers differ.
Dim merge_dim(const Dim& a, const Dim& b);

/// The dimension `axis` of a shape that may be unknown.
Dim dim_or_unknown(const Shape* shape, int64_t axis);

/// a op b for known dimensions, unknown otherwise.
template <typename F>
Dim combine(const Dim& a, const Dim& b, F&& f) {
  return a.known() && b.known() ? Dim(f(*a.size, *b.size)) : Dim();
}

/// NumPy broadcasting of shapes with symbols. Throws Error{bad_file} if they cannot broadcast.
Shape broadcast_shape(const Shape& a, const Shape& b);

}  // namespace lowbit
