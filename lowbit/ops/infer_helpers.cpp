#include "lowbit/ops/infer_helpers.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/ops/dispatch.h"

namespace lowbit {
namespace {

/// Shapes are short; a longer constant is data, not a shape.
constexpr int64_t kMaxShapeElements = 1024;

bool is_one(const Dim& dim) { return dim.size == 1; }

Dim broadcast_dim(const Node& node, const Dim& a, const Dim& b) {
  if (is_one(a)) return b;
  if (is_one(b)) return a;
  if (a.known() && b.known()) {
    if (*a.size != *b.size)
      node_error(node, fmt::format("the dimensions {} and {} do not broadcast", *a.size, *b.size));
    return a;
  }
  if (a.known()) return a;
  if (b.known()) return b;
  return a.same_as(b) ? a : Dim();
}

}  // namespace

std::optional<Shape> shape_of(const InferContext& context, size_t input) {
  const Shape* shape = context.has_input(input) ? context.input_shape(input) : nullptr;
  return shape ? std::optional<Shape>(*shape) : std::nullopt;
}

int64_t rank_of(const InferContext& context, size_t input) {
  const Shape* shape = context.has_input(input) ? context.input_shape(input) : nullptr;
  return shape ? static_cast<int64_t>(shape->size()) : -1;
}

std::optional<std::vector<Dim>> dims_of(const InferContext& context, size_t input) {
  if (!context.has_input(input)) return std::nullopt;
  const Tensor* constant = context.input_constant(input);
  if (!constant) return context.input_dims(input);
  if (!is_integer(constant->dtype()) || constant->rank() > 1 || constant->count() > kMaxShapeElements)
    return std::nullopt;
  const std::vector<int64_t> values = to_int64(*constant);
  return std::vector<Dim>(values.begin(), values.end());
}

std::optional<std::vector<int64_t>> ints_of(const InferContext& context, size_t input) {
  const auto dims = dims_of(context, input);
  return dims ? concrete(*dims) : std::nullopt;
}

std::optional<int64_t> length_of(const InferContext& context, size_t input) {
  if (const auto dims = dims_of(context, input)) return static_cast<int64_t>(dims->size());
  const auto shape = shape_of(context, input);
  return shape && shape->size() == 1 ? (*shape)[0].size : std::nullopt;
}

Dim dim_mul(const Dim& a, const Dim& b) {
  if (is_one(a)) return b;
  if (is_one(b)) return a;
  return a.known() && b.known() ? Dim(checked_mul(*a.size, *b.size)) : Dim();
}

Dim dim_add(const Dim& a, const Dim& b) {
  if (a.size == 0) return b;
  if (b.size == 0) return a;
  return a.known() && b.known() ? Dim(checked_add(*a.size, *b.size)) : Dim();
}

Dim dim_sub(const Dim& a, const Dim& b) {
  if (b.size == 0) return a;
  if (!a.known() || !b.known()) return a.same_as(b) ? Dim(0) : Dim();
  int64_t difference;
  return __builtin_sub_overflow(*a.size, *b.size, &difference) ? Dim() : Dim(difference);
}

Dim dim_div(const Dim& a, const Dim& b) {
  if (is_one(b)) return a;
  if (!a.known() || !b.known() || *b.size <= 0 || *a.size < 0) return Dim();
  return Dim(*a.size / *b.size);
}

Dim dim_product(const Shape& shape, size_t begin, size_t end) {
  Dim product(1);
  for (size_t i = begin; i < end; ++i) product = dim_mul(product, shape[i]);
  return product;
}

Shape broadcast_shapes(const Node& node, const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    const Dim da = i < a.size() ? a[a.size() - 1 - i] : Dim(1), db = i < b.size() ? b[b.size() - 1 - i] : Dim(1);
    result[result.size() - 1 - i] = broadcast_dim(node, da, db);
  }
  return result;
}

std::optional<Shape> broadcast_of_inputs(const InferContext& context) {
  Shape result;
  for (size_t i = 0; i < context.node().inputs.size(); ++i) {
    if (!context.has_input(i)) continue;
    const Shape* shape = context.input_shape(i);
    if (!shape) return std::nullopt;
    result = broadcast_shapes(context.node(), result, *shape);
  }
  return result;
}

void infer_same(InferContext& context) { infer_same_shape(context, context.input_dtype(0)); }

void infer_same_shape(InferContext& context, DType type) { context.set_output(0, type, shape_of(context, 0)); }

void infer_broadcast(InferContext& context) {
  context.set_output(0, context.input_dtype(0), broadcast_of_inputs(context));
}

void infer_broadcast_bool(InferContext& context) { context.set_output(0, DType::bool_, broadcast_of_inputs(context)); }

Shape reduced_shape(const Node& node, const Shape& shape, const std::vector<int64_t>& axes, bool keepdims) {
  std::vector<bool> reduced(shape.size(), axes.empty());
  for (int64_t axis : axes) reduced[infer_axis(node, axis, shape.size())] = true;
  Shape result;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!reduced[i])
      result.push_back(shape[i]);
    else if (keepdims)
      result.push_back(Dim(1));
  }
  return result;
}

size_t infer_axis(const Node& node, int64_t axis, size_t rank) {
  return static_cast<size_t>(checked_axis(node, axis, static_cast<int64_t>(rank)));
}

}  // namespace lowbit
