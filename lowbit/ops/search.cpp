// search.cpp: operators that look for elements: TopK, ArgMax, ArgMin, NonZero, Unique.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/ops/families.h"
#include "lowbit/ops/index_helpers.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/movement_helpers.h"

namespace lowbit {
namespace {

/// x with `axis` last, as rows; and the way back.
std::vector<int64_t> axis_last(int64_t rank, int64_t axis) {
  std::vector<int64_t> perm;
  for (int64_t i = 0; i < rank; ++i)
    if (i != axis) perm.push_back(i);
  perm.push_back(axis);
  return perm;
}

std::vector<int64_t> inverse(const std::vector<int64_t>& perm) {
  std::vector<int64_t> result(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) result[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  return result;
}

/// A strict order in which NaN is the largest number.
template <typename T>
bool less(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return false;
    if (b != b) return true;
  }
  return a < b;
}

// --- TopK ---------------------------------------------------------------------------------------------------------

/// Equal values keep the order of their indices.
template <typename T>
void top_of_row(const T* x, int64_t size, int64_t k, bool largest, std::vector<int64_t>& order) {
  order.resize(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto before = [&](int64_t a, int64_t b) {
    if (largest ? less(x[b], x[a]) : less(x[a], x[b])) return true;
    if (largest ? less(x[a], x[b]) : less(x[b], x[a])) return false;
    return a < b;
  };
  std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
}

void topk_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& given = context.input(0);
  const int64_t axis = checked_axis(node, node.attr_int("axis", -1), given.rank());
  const int64_t k = int_scalar(context, 1), size = given.dim(axis);
  if (k < 0 || k > size) node_error(node, fmt::format("the {} first of {} elements are asked for", k, size));
  const bool largest = node.attr_int("largest", 1) != 0;
  const std::vector<int64_t> perm = axis_last(given.rank(), axis);
  const Tensor x = transposed(node, widened(given), perm);
  Dims dims = x.dims();
  dims.back() = k;
  Tensor values = make_output(node, x.dtype(), dims), indices = make_output(node, DType::int64, dims);
  dispatch(NumberTypes{}, node, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* row = x.data<T>();
    T* value = values.mutable_data<T>();
    int64_t* index = indices.mutable_data<int64_t>();
    std::vector<int64_t> order;
    for (int64_t r = 0; k > 0 && r < x.count() / size; ++r, row += size) {
      top_of_row(row, size, k, largest, order);
      for (int64_t i = 0; i < k; ++i) {
        *index = order[static_cast<size_t>(i)];
        *value++ = row[*index++];
      }
    }
  });
  context.set_output(0, narrowed(transposed(node, values, inverse(perm)), given.dtype()));
  context.set_output(1, transposed(node, indices, inverse(perm)));
}

void infer_topk(InferContext& context) {
  auto shape = shape_of(context, 0);
  if (shape) {
    const auto k = dims_of(context, 1);
    const size_t axis = infer_axis(context.node(), context.node().attr_int("axis", -1), shape->size());
    (*shape)[axis] = k && k->size() == 1 ? (*k)[0] : Dim();
  }
  context.set_output(0, context.input_dtype(0), shape);
  context.set_output(1, DType::int64, shape);
}

// --- ArgMax, ArgMin -----------------------------------------------------------------------------------------------

template <bool kLargest>
void arg_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& given = context.input(0);
  const int64_t axis = checked_axis(node, node.attr_int("axis", 0), given.rank()), size = given.dim(axis);
  const bool last = node.attr_int("select_last_index", 0) != 0;
  Dims dims = given.dims();
  dims[static_cast<size_t>(axis)] = 1;
  if (size == 0 && element_count(dims) > 0) node_error(node, "there is no extreme of an empty dimension");
  const Tensor x = transposed(node, widened(given), axis_last(given.rank(), axis));
  Tensor y = make_output(node, DType::int64, dims);
  dispatch(NumberTypes{}, node, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* row = x.data<T>();
    for (int64_t& best : y.mutable_values<int64_t>()) {
      best = 0;
      for (int64_t i = 1; i < size; ++i) {
        const bool better = kLargest ? less(row[best], row[i]) : less(row[i], row[best]);
        const bool equal = !less(row[best], row[i]) && !less(row[i], row[best]);
        if (better || (last && equal)) best = i;
      }
      row += size;
    }
  });
  if (node.attr_int("keepdims", 1) == 0) {
    dims.erase(dims.begin() + axis);
    y = y.reshaped(dims);
  }
  context.set_output(0, std::move(y));
}

void infer_arg(InferContext& context) {
  const Node& node = context.node();
  const auto shape = shape_of(context, 0);
  if (!shape) return context.set_output(0, DType::int64, std::nullopt);
  context.set_output(0, DType::int64,
                     reduced_shape(node, *shape, {node.attr_int("axis", 0)}, node.attr_int("keepdims", 1) != 0));
}

// --- NonZero ------------------------------------------------------------------------------------------------------

/// The coordinates of the elements that are not zero: [rank, found], row-major order. A scalar counts as one element
/// without coordinates.
void non_zero_reference(EvalContext& context) {
  const Tensor x = widened(context.input(0));
  std::vector<int64_t> found;
  dispatch(NumberAndBoolTypes{}, context.node(), x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = 0; i < x.count(); ++i)
      if (x.data<T>()[i] != T{}) found.push_back(i);
  });
  const int64_t count = static_cast<int64_t>(found.size());
  Tensor y = make_output(context.node(), DType::int64, {x.rank(), count});
  const Dims strides = row_major_strides(x.dims());
  int64_t* to = y.mutable_data<int64_t>();
  for (size_t axis = 0; axis < strides.size(); ++axis)
    for (int64_t at : found) *to++ = at / strides[axis] % x.dims()[axis];
  context.set_output(0, std::move(y));
}

void infer_non_zero(InferContext& context) {
  const int64_t rank = rank_of(context, 0);
  context.set_output(0, DType::int64, Shape{rank < 0 ? Dim() : Dim(rank), Dim()});
}

// --- Unique -------------------------------------------------------------------------------------------------------

/// Groups equal rows. `order` lists the rows sorted (ties by position); the result names for each group its first row.
struct Groups {
  std::vector<int64_t> first, counts, group_of_row;
};

template <typename T>
Groups group_rows(const T* x, int64_t rows, int64_t width, bool sorted) {
  std::vector<int64_t> order(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto row_less = [&](int64_t a, int64_t b) {
    return std::lexicographical_compare(x + a * width, x + (a + 1) * width, x + b * width, x + (b + 1) * width,
                                        less<T>);
  };
  std::stable_sort(order.begin(), order.end(), row_less);
  Groups groups;
  groups.group_of_row.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || row_less(order[i - 1], order[i])) {
      groups.first.push_back(order[i]);
      groups.counts.push_back(0);
    }
    ++groups.counts.back();
    groups.group_of_row[static_cast<size_t>(order[i])] = static_cast<int64_t>(groups.first.size()) - 1;
  }
  if (sorted) return groups;
  // In the order of first appearance.
  std::vector<size_t> by_place(groups.first.size());
  std::iota(by_place.begin(), by_place.end(), size_t{0});
  std::sort(by_place.begin(), by_place.end(), [&](size_t a, size_t b) { return groups.first[a] < groups.first[b]; });
  Groups result{{}, {}, std::vector<int64_t>(order.size())};
  std::vector<int64_t> renamed(by_place.size());
  for (size_t i = 0; i < by_place.size(); ++i) {
    renamed[by_place[i]] = static_cast<int64_t>(i);
    result.first.push_back(groups.first[by_place[i]]);
    result.counts.push_back(groups.counts[by_place[i]]);
  }
  for (size_t i = 0; i < order.size(); ++i)
    result.group_of_row[i] = renamed[static_cast<size_t>(groups.group_of_row[i])];
  return result;
}

void unique_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& given = context.input(0);
  const bool flat = !node.has_attr("axis");
  const Tensor shaped = flat ? given.reshaped({given.count()}) : given;
  const int64_t axis = flat ? 0 : checked_axis(node, node.attr_int("axis", 0), shaped.rank());
  std::vector<int64_t> perm{axis};
  for (int64_t i = 0; i < shaped.rank(); ++i)
    if (i != axis) perm.push_back(i);
  const Tensor rows = transposed(node, shaped, perm);
  const int64_t count = rows.dim(0), width = count == 0 ? 0 : rows.count() / count;
  const Tensor wide = widened(rows);
  Groups groups;
  dispatch(NumberAndBoolTypes{}, node, wide.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    groups = group_rows(wide.data<T>(), count, width, node.attr_int("sorted", 1) != 0);
  });
  Dims dims = rows.dims();
  dims[0] = static_cast<int64_t>(groups.first.size());
  Tensor y = make_output(node, rows.dtype(), dims);
  const size_t bytes = static_cast<size_t>(width) * dtype_bytes(rows.dtype());
  for (size_t i = 0; i < groups.first.size(); ++i)
    std::copy_n(rows.raw().data() + static_cast<size_t>(groups.first[i]) * bytes, bytes, y.mutable_raw() + i * bytes);
  context.set_output(0, transposed(node, y, inverse(perm)));
  const auto list = [](const std::vector<int64_t>& values) {
    return Tensor::from<int64_t>({static_cast<int64_t>(values.size())}, values);
  };
  context.set_output(1, list(groups.first));
  context.set_output(2, list(groups.group_of_row));
  context.set_output(3, list(groups.counts));
}

void infer_unique(InferContext& context) {
  std::optional<Shape> shape = shape_of(context, 0);
  if (!context.node().has_attr("axis"))
    shape = unknown_shape(1);
  else if (shape)
    (*shape)[infer_axis(context.node(), context.node().attr_int("axis", 0), shape->size())] = Dim();
  context.set_output(0, context.input_dtype(0), shape);
  for (size_t i = 1; i < context.node().outputs.size(); ++i)
    if (context.node().outputs[i] != kNone) context.set_output(i, DType::int64, unknown_shape(1));
}

constexpr OpDef kSearchRows[] = {
    {"", "ArgMax", OpKind::other, 1, 1, 1, 1, "axis keepdims select_last_index", infer_arg, arg_reference<true>},
    {"", "ArgMin", OpKind::other, 1, 1, 1, 1, "axis keepdims select_last_index", infer_arg, arg_reference<false>},
    {"", "NonZero", OpKind::other, 1, 1, 1, 1, "", infer_non_zero, non_zero_reference},
    {"", "TopK", OpKind::movement, 2, 2, 2, 2, "axis largest sorted", infer_topk, topk_reference},
    {"", "Unique", OpKind::other, 1, 1, 1, 4, "axis sorted", infer_unique, unique_reference},
};

}  // namespace

std::span<const OpDef> search_ops() { return kSearchRows; }

}  // namespace lowbit
