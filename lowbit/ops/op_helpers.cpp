#include "lowbit/ops/op_helpers.h"

#include <cstring>

#include "lowbit/base/checked.h"

namespace lowbit {

Tensor zero_output(const Node& node, DType type, Dims dims) {
  Tensor result = make_output(node, type, std::move(dims));
  if (result.byte_size() > 0) std::memset(result.mutable_raw(), 0, result.byte_size());
  return result;
}

void require_dims(const Tensor& tensor, const Dims& wanted, std::string_view what) {
  require(tensor.dims() == wanted, "{} has the shape {}, but {} is needed", what, dims_text(tensor.dims()),
          dims_text(wanted));
}

int64_t count_between(const Dims& dims, size_t begin, size_t end) {
  return checked_product(std::span(dims).subspan(begin, end - begin));
}

AxisView axis_view(const Dims& dims, int64_t axis) {
  const auto at = static_cast<size_t>(normalize_axis(axis, static_cast<int64_t>(dims.size())));
  return {count_between(dims, 0, at), dims[at], count_between(dims, at + 1, dims.size())};
}

void require_rank(const InferContext& context, size_t input, size_t least) {
  const Shape* shape = context.input_shape(input);
  if (shape && shape->size() < least)
    refuse("input {} has the shape {}, but at least {} dimensions are needed", input, shape_text(*shape), least);
}

}  // namespace lowbit
