// shape.cpp: operators that make or measure tensors: Shape, Size, Range, Constant, ConstantOfShape, EyeLike, and Det.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/index_helpers.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

/// Longer lists are data; nobody reshapes by them.
constexpr int64_t kMaxFollowed = 64;

/// The dimensions [begin, end) that attributes start and end select, both clamped to the rank.
std::pair<size_t, size_t> shape_part(const Node& node, size_t rank) {
  const int64_t size = static_cast<int64_t>(rank);
  const auto clamp = [size](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
  const int64_t begin = clamp(node.attr_int("start", 0)), end = clamp(node.attr_int("end", size));
  return {static_cast<size_t>(begin), static_cast<size_t>(std::max(begin, end))};
}

void shape_reference(EvalContext& context) {
  const Dims& dims = context.input(0).dims();
  const auto [begin, end] = shape_part(context.node(), dims.size());
  const Dims part(dims.begin() + static_cast<int64_t>(begin), dims.begin() + static_cast<int64_t>(end));
  context.set_output(0, Tensor::from<int64_t>({static_cast<int64_t>(part.size())}, part));
}

void infer_shape(InferContext& context) {
  const auto shape = shape_of(context, 0);
  if (!shape) return context.set_output(0, DType::int64, unknown_shape(1));
  const auto [begin, end] = shape_part(context.node(), shape->size());
  context.set_output(0, DType::int64, Shape{Dim(static_cast<int64_t>(end - begin))});
  context.set_output_dims(
      0, std::vector<Dim>(shape->begin() + static_cast<int64_t>(begin), shape->begin() + static_cast<int64_t>(end)));
}

void size_reference(EvalContext& context) { context.set_output(0, Tensor::scalar<int64_t>(context.input(0).count())); }

void infer_size(InferContext& context) {
  context.set_output(0, DType::int64, Shape{});
  if (const auto shape = shape_of(context, 0)) context.set_output_dims(0, {dim_product(*shape, 0, shape->size())});
}

// --- Range --------------------------------------------------------------------------------------------------------

/// ceil((limit - start) / delta), at least 0.
template <typename T>
int64_t range_length(const Node& node, T start, T limit, T delta) {
  if (delta == T{0} || delta != delta) node_error(node, "the step of a range is zero");
  if (delta > T{0} ? start >= limit : start <= limit) return 0;
  if constexpr (std::is_floating_point_v<T>) {
    const double length =
        std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
    if (!(length < 0x1p40)) node_error(node, "the range has too many elements");
    return static_cast<int64_t>(length);
  } else {
    // The distance of two int64 fits uint64.
    const uint64_t low = static_cast<uint64_t>(delta > 0 ? start : limit);
    const uint64_t high = static_cast<uint64_t>(delta > 0 ? limit : start);
    const uint64_t step = delta > 0 ? static_cast<uint64_t>(delta) : uint64_t{0} - static_cast<uint64_t>(delta);
    const uint64_t length = (high - low - 1) / step + 1;
    if (length > uint64_t{1} << 40) node_error(node, "the range has too many elements");
    return static_cast<int64_t>(length);
  }
}

void range_reference(EvalContext& context) {
  const Node& node = context.node();
  const DType type = context.input(0).dtype();
  for (size_t i = 0; i < 3; ++i) {
    require_same_type(node, type, context.input(i).dtype());
    if (context.input(i).count() != 1) node_error(node, "start, limit and delta must be one number each");
  }
  const Tensor start = widened(context.input(0)), limit = widened(context.input(1)), delta = widened(context.input(2));
  dispatch(TypeList<float, double, int16_t, int32_t, int64_t>{}, node, start.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T first = start.data<T>()[0], step = delta.data<T>()[0];
    Tensor y = make_output(node, start.dtype(), {range_length<T>(node, first, limit.data<T>()[0], step)});
    T* to = y.mutable_data<T>();
    for (int64_t i = 0; i < y.count(); ++i) to[i] = wrapping_add(first, wrapping_mul(static_cast<T>(i), step));
    context.set_output(0, narrowed(std::move(y), type));
  });
}

/// The length if all three inputs are constant real numbers.
std::optional<int64_t> real_range_length(const InferContext& context) {
  double values[3];
  for (size_t i = 0; i < 3; ++i) {
    const Tensor* constant = context.input_constant(i);
    if (!constant || constant->count() != 1 || !is_float(constant->dtype())) return std::nullopt;
    values[i] = constant->cast(DType::float64).data<double>()[0];
  }
  return range_length<double>(context.node(), values[0], values[1], values[2]);
}

void infer_range(InferContext& context) {
  const DType type = context.input_dtype(0);
  const auto start = dims_of(context, 0), limit = dims_of(context, 1), delta = dims_of(context, 2);
  const auto single = [](const auto& list) { return list && list->size() == 1; };
  if (!single(start) || !single(limit) || !single(delta)) {
    const auto length = real_range_length(context);
    return context.set_output(0, type, Shape{length ? Dim(*length) : Dim()});
  }
  const Dim &first = (*start)[0], &last = (*limit)[0], &step = (*delta)[0];
  if (first.known() && last.known() && step.known()) {
    const int64_t length = range_length<int64_t>(context.node(), *first.size, *last.size, *step.size);
    context.set_output(0, type, Shape{Dim(length)});
    if (length > kMaxFollowed) return;
    std::vector<Dim> values;
    for (int64_t i = 0; i < length; ++i) values.push_back(Dim(wrapping_add(*first.size, wrapping_mul(i, *step.size))));
    return context.set_output_dims(0, std::move(values));
  }
  context.set_output(0, type, Shape{step.size == 1 && first.size == 0 ? last : Dim()});
}

// --- Constant, ConstantOfShape, EyeLike ---------------------------------------------------------------------------

Tensor constant_value(const Node& node) {
  if (const Tensor* value = node.attr_tensor("value")) return *value;
  if (node.has_attr("value_float")) return Tensor::scalar<float>(node.attr_float("value_float", 0));
  if (node.has_attr("value_int")) return Tensor::scalar<int64_t>(node.attr_int("value_int", 0));
  if (node.has_attr("value_string")) return Tensor::strings({}, {node.attr_string("value_string", "")});
  const auto length = [](const auto& list) { return Dims{static_cast<int64_t>(list.size())}; };
  if (node.has_attr("value_floats")) {
    const auto list = node.attr_floats("value_floats");
    return Tensor::from<float>(length(list), list);
  }
  if (node.has_attr("value_ints")) {
    const auto list = node.attr_ints("value_ints");
    return Tensor::from<int64_t>(length(list), list);
  }
  if (node.has_attr("value_strings")) {
    const auto list = node.attr_strings("value_strings");
    return Tensor::strings(length(list), list);
  }
  node_error(node, "the constant has no value");
}

void constant_reference(EvalContext& context) { context.set_output(0, constant_value(context.node())); }

void infer_constant(InferContext& context) {
  const Tensor value = constant_value(context.node());
  context.set_output(0, value.dtype(), to_shape(value.dims()));
  if (!is_integer(value.dtype()) || value.rank() > 1 || value.count() > kMaxFollowed) return;
  const std::vector<int64_t> elements = to_int64(value);
  context.set_output_dims(0, std::vector<Dim>(elements.begin(), elements.end()));
}

/// The one element that fills the output: float zero unless the attribute says otherwise.
Tensor fill_value(const Node& node) {
  const Tensor* value = node.attr_tensor("value");
  if (!value) return Tensor::scalar<float>(0);
  if (value->count() != 1) node_error(node, "attribute value must have one element");
  return *value;
}

void constant_of_shape_reference(EvalContext& context) {
  const Tensor value = fill_value(context.node());
  Tensor y = make_output(context.node(), value.dtype(), int_values(context, 0));
  dispatch_width(context.node(), value.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::fill_n(raw_elements<T>(y), y.count(), *raw_elements<T>(value));
  });
  context.set_output(0, std::move(y));
}

void infer_constant_of_shape(InferContext& context) {
  const Tensor value = fill_value(context.node());
  const auto dims = dims_of(context, 0);
  const auto rank = length_of(context, 0);
  if (!dims)
    return context.set_output(0, value.dtype(), rank ? std::optional<Shape>(unknown_shape(*rank)) : std::nullopt);
  context.set_output(0, value.dtype(), *dims);
  const bool short_list = dims->size() == 1 && (*dims)[0].known() && *(*dims)[0].size <= kMaxFollowed;
  if (is_integer(value.dtype()) && short_list && *(*dims)[0].size >= 0)
    context.set_output_dims(0, std::vector<Dim>(static_cast<size_t>(*(*dims)[0].size), Dim(to_int64(value)[0])));
}

/// The type that attribute `dtype` asks for, or that of the input.
DType type_or_like(const Node& node, DType input) {
  return node.has_attr("dtype") ? dtype_from_onnx(node, node.attr_int("dtype", 0)) : input;
}

void eye_like_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  if (x.rank() != 2) node_error(node, "the input must be a matrix, it is " + dims_text(x.dims()));
  const int64_t rows = x.dim(0), columns = x.dim(1);
  const int64_t k = std::clamp(node.attr_int("k", 0), -rows, columns);
  Tensor eye(DType::uint8, x.dims());
  uint8_t* to = eye.mutable_data<uint8_t>();
  for (int64_t row = std::max<int64_t>(0, -k); row < rows && row + k < columns; ++row) to[row * columns + row + k] = 1;
  context.set_output(0, eye.cast(type_or_like(node, x.dtype())));
}

void infer_eye_like(InferContext& context) {
  infer_same_shape(context, type_or_like(context.node(), context.input_dtype(0)));
}

// --- Det ----------------------------------------------------------------------------------------------------------

/// Gaussian elimination with partial pivoting, in double.
double determinant(std::vector<double>& a, int64_t n) {
  double result = 1;
  const auto at = [&](int64_t row, int64_t column) -> double& { return a[static_cast<size_t>(row * n + column)]; };
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t row = k + 1; row < n; ++row)
      if (std::fabs(at(row, k)) > std::fabs(at(pivot, k))) pivot = row;
    if (at(pivot, k) == 0) return 0;
    if (pivot != k) {
      for (int64_t column = k; column < n; ++column) std::swap(at(k, column), at(pivot, column));
      result = -result;
    }
    result *= at(k, k);
    for (int64_t row = k + 1; row < n; ++row) {
      const double factor = at(row, k) / at(k, k);
      for (int64_t column = k; column < n; ++column) at(row, column) -= factor * at(k, column);
    }
  }
  return result;
}

void det_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& given = context.input(0);
  const int64_t rank = given.rank();
  if (rank < 2 || given.dim(rank - 1) != given.dim(rank - 2))
    node_error(node, "the input must be square matrices, it is " + dims_text(given.dims()));
  if (!is_float(given.dtype())) type_error(node, given.dtype());
  const Tensor x = given.cast(DType::float64);
  const int64_t n = given.dim(rank - 1);
  Tensor y = make_output(node, DType::float64, Dims(given.dims().begin(), given.dims().end() - 2));
  for (int64_t i = 0; i < y.count(); ++i) {
    std::vector<double> matrix(x.data<double>() + i * n * n, x.data<double>() + (i + 1) * n * n);
    y.mutable_data<double>()[i] = determinant(matrix, n);
  }
  context.set_output(0, y.cast(given.dtype()));
}

void infer_det(InferContext& context) {
  auto shape = shape_of(context, 0);
  if (shape && shape->size() < 2) node_error(context.node(), "the input must be square matrices");
  if (shape) shape->resize(shape->size() - 2);
  context.set_output(0, context.input_dtype(0), shape);
}

constexpr OpDef kShapeRows[] = {
    {"", "Constant", OpKind::shape, 0, 0, 1, 1,
     "sparse_value value value_float value_floats value_int value_ints value_string value_strings", infer_constant,
     constant_reference},
    {"", "ConstantOfShape", OpKind::shape, 1, 1, 1, 1, "value", infer_constant_of_shape, constant_of_shape_reference},
    {"", "Det", OpKind::other, 1, 1, 1, 1, "", infer_det, det_reference},
    {"", "EyeLike", OpKind::shape, 1, 1, 1, 1, "dtype k", infer_eye_like, eye_like_reference},
    {"", "Range", OpKind::shape, 3, 3, 1, 1, "", infer_range, range_reference},
    {"", "Shape", OpKind::shape, 1, 1, 1, 1, "end start", infer_shape, shape_reference},
    {"", "Size", OpKind::shape, 1, 1, 1, 1, "", infer_size, size_reference},
};

}  // namespace

std::span<const OpDef> shape_ops() { return kShapeRows; }

}  // namespace lowbit
