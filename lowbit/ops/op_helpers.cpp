#include "lowbit/ops/op_helpers.h"

#include <algorithm>

#include "lowbit/base/checked.h"

namespace lowbit {
namespace {

void check_output_size(DType type, const Dims& dims) {
  const int64_t bytes = checked_mul(element_count(dims), static_cast<int64_t>(dtype_bytes(type)));
  require(bytes <= kMaxOutputBytes, "an output {} of {} takes {} bytes, more than the limit of 16 GiB", dims_text(dims),
          dtype_name(type), bytes);
}

}  // namespace

Tensor new_output(DType type, Dims dims) {
  check_output_size(type, dims);
  return Tensor::uninitialized(type, std::move(dims));
}

Tensor zero_output(DType type, Dims dims) {
  check_output_size(type, dims);
  return Tensor(type, std::move(dims));
}

int64_t scalar_int(const Tensor& tensor, std::string_view what) {
  require(tensor.count() == 1, "{} must be one number, but has the shape {}", what, dims_text(tensor.dims()));
  return to_int64(tensor)[0];
}

float scalar_float(const Tensor& tensor, std::string_view what) {
  require(tensor.count() == 1, "{} must be one number, but has the shape {}", what, dims_text(tensor.dims()));
  return to_float32(tensor).data<float>()[0];
}

bool is_kernel_float(DType type) {
  return type == DType::float32 || type == DType::float64 || type == DType::float16 || type == DType::bfloat16;
}

WidenedInputs::WidenedInputs(const EvalContext& context) {
  storage.resize(context.input_count());
  pointers.resize(context.input_count());
  for (size_t i = 0; i < context.input_count(); ++i) {
    const Tensor* input = context.optional_input(i);
    if (!input) continue;
    const bool narrow = input->dtype() == DType::float16 || input->dtype() == DType::bfloat16;
    storage[i] = narrow ? to_float32(*input) : *input;
    pointers[i] = &storage[i];
  }
}

void infer_like_first(InferContext& context) {
  const Shape* shape = context.input_shape(0);
  context.set_output(0, context.input_dtype(0), shape ? std::optional(*shape) : std::nullopt);
}

Dim merge_dim(const Dim& a, const Dim& b) {
  if (a.known() && b.known() && *a.size != *b.size) refuse("a dimension is {} and {} at once", *a.size, *b.size);
  if (a.known()) return a;
  if (b.known()) return b;
  return a.symbol.empty() ? b : a;
}

Dim dim_or_unknown(const Shape* shape, int64_t axis) {
  if (!shape || axis < 0 || axis >= static_cast<int64_t>(shape->size())) return {};
  return (*shape)[static_cast<size_t>(axis)];
}

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    const Dim &x = longer[offset + i], &y = shorter[i];
    Dim& out = result[offset + i];
    if (x.known() && *x.size == 1)
      out = y;
    else if (y.known() && *y.size == 1)
      out = x;
    else if (x.known() && y.known() && *x.size != *y.size)
      refuse("the shapes {} and {} do not broadcast", shape_text(a), shape_text(b));
    else if (x.known() || y.known())
      out = x.known() ? x : y;  // the other is 1 or the same
    else
      out = x.same_as(y) ? x : Dim();
  }
  return result;
}

}  // namespace lowbit
