// scatter.cpp: operators that write at places given by data: ScatterElements, ScatterND, TensorScatter. Where several
// updates meet the same place they are applied in order.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/ops/families.h"
#include "lowbit/ops/index_helpers.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

enum class Combine { replace, add, multiply, largest, smallest };

Combine combine_of(const Node& node) {
  const std::string name = node.attr_string("reduction", "none");
  if (name == "none") return Combine::replace;
  if (name == "add") return Combine::add;
  if (name == "mul") return Combine::multiply;
  if (name == "max") return Combine::largest;
  if (name == "min") return Combine::smallest;
  node_error(node, "attribute reduction must be none, add, mul, max or min");
}

template <typename T>
T combined(Combine how, T old, T update) {
  if constexpr (std::is_same_v<T, bool>) {
    // As NumPy: + and max are or, * and min are and.
    if (how == Combine::replace) return update;
    return how == Combine::add || how == Combine::largest ? old || update : old && update;
  } else {
    switch (how) {
      case Combine::add:
        return wrapping_add(old, update);
      case Combine::multiply:
        return wrapping_mul(old, update);
      case Combine::largest:
        return old != old || old > update ? old : update;
      case Combine::smallest:
        return old != old || old < update ? old : update;
      case Combine::replace:
        break;
    }
    return update;
  }
}

/// Calls write(y, updates, combine function) with typed pointers: by width if elements are only replaced, by number
/// type (16-bit floats as float32) otherwise. Returns the result in the type of the data.
template <typename Write>
Tensor scatter(const Node& node, const Tensor& data, const Tensor& updates, Write write) {
  require_same_type(node, data.dtype(), updates.dtype());
  const Combine how = combine_of(node);
  if (how == Combine::replace) {
    Tensor y = data;
    dispatch_width(node, data.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      write(raw_elements<T>(y), raw_elements<T>(updates), [](T, T update) { return update; });
    });
    return y;
  }
  Tensor y = widened(data);
  const Tensor wide = widened(updates);
  dispatch(NumberAndBoolTypes{}, node, y.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    write(y.mutable_data<T>(), wide.data<T>(), [how](T old, T update) { return combined(how, old, update); });
  });
  return narrowed(std::move(y), data.dtype());
}

void scatter_elements_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor &data = context.input(0), &indices = context.input(1), &updates = context.input(2);
  const size_t axis = static_cast<size_t>(checked_axis(node, node.attr_int("axis", 0), data.rank()));
  require_element_indices(node, indices.dims(), data.dims(), axis);
  if (updates.dims() != indices.dims())
    node_error(node, fmt::format("updates {} and indices {} differ in shape", dims_text(updates.dims()),
                                 dims_text(indices.dims())));
  const std::vector<int64_t> places = checked_indices(node, indices, data.dims()[axis]);
  const int64_t stride = row_major_strides(data.dims())[axis];
  context.set_output(0, scatter(node, data, updates, [&](auto* y, const auto* update, auto combine) {
                       for_each_element_index(indices.dims(), data.dims(), axis, [&](int64_t i, int64_t offset) {
                         auto& place = y[offset + places[static_cast<size_t>(i)] * stride];
                         place = combine(place, update[i]);
                       });
                     }));
}

void scatter_nd_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor &data = context.input(0), &indices = context.input(1), &updates = context.input(2);
  const std::vector<int64_t> offsets = tuple_offsets(node, indices, data.dims(), 0);
  const int64_t used = indices.dims().back();
  Dims expected(indices.dims().begin(), indices.dims().end() - 1);
  expected.insert(expected.end(), data.dims().begin() + used, data.dims().end());
  if (updates.dims() != expected)
    node_error(node, fmt::format("the updates are {}, the indices ask for {}", dims_text(updates.dims()),
                                 dims_text(expected)));
  const int64_t block = count_between(data.dims(), static_cast<size_t>(used), data.dims().size());
  context.set_output(0, scatter(node, data, updates, [&](auto* y, const auto* update, auto combine) {
                       for (int64_t offset : offsets)
                         for (int64_t i = 0; i < block; ++i, ++update)
                           y[offset * block + i] = combine(y[offset * block + i], *update);
                     }));
}

/// Opset 24: writes `update` into a cache along `axis`, from write_indices[batch] on; mode circular wraps around.
void tensor_scatter_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor &cache = context.input(0), &update = context.input(1);
  require_same_type(node, cache.dtype(), update.dtype());
  const size_t axis = static_cast<size_t>(checked_axis(node, node.attr_int("axis", -2), cache.rank()));
  Dims expected = cache.dims();
  if (update.rank() == cache.rank()) expected[axis] = update.dims()[axis];
  if (axis == 0 || update.dims() != expected || update.dims()[axis] > cache.dims()[axis])
    node_error(node, fmt::format("the update {} does not fit the cache {}", dims_text(update.dims()),
                                 dims_text(cache.dims())));
  const std::string mode = node.attr_string("mode", "linear");
  if (mode != "linear" && mode != "circular") node_error(node, "attribute mode must be linear or circular");
  const int64_t batch = cache.dim(0), size = cache.dims()[axis], length = update.dims()[axis];
  std::vector<int64_t> starts(static_cast<size_t>(batch));
  if (context.has_input(2)) starts = int_values(context, 2);
  if (static_cast<int64_t>(starts.size()) != batch)
    node_error(node, "there must be one write index for each batch entry");
  for (int64_t start : starts)
    if (start < 0 || start >= std::max<int64_t>(size, 1) || (mode == "linear" && start > size - length))
      node_error(node, fmt::format("write index {} does not fit {} places", start, size));
  Tensor y = cache;
  const size_t bytes =
      static_cast<size_t>(count_between(cache.dims(), axis + 1, cache.dims().size())) * dtype_bytes(cache.dtype());
  const int64_t middle = count_between(cache.dims(), 1, axis);
  const std::byte* from = update.raw().data();
  std::byte* to = y.mutable_raw();
  for (int64_t outer = 0; bytes > 0 && outer < batch * middle; ++outer)
    for (int64_t i = 0; i < length; ++i, from += bytes) {
      const int64_t place = (starts[static_cast<size_t>(outer / middle)] + i) % size;
      std::memcpy(to + static_cast<size_t>(outer * size + place) * bytes, from, bytes);
    }
  context.set_output(0, std::move(y));
}

constexpr OpDef kScatterRows[] = {
    {"", "Scatter", OpKind::movement, 3, 3, 1, 1, "axis", infer_same, scatter_elements_reference},
    {"", "ScatterElements", OpKind::movement, 3, 3, 1, 1, "axis reduction", infer_same, scatter_elements_reference},
    {"", "ScatterND", OpKind::movement, 3, 3, 1, 1, "reduction", infer_same, scatter_nd_reference},
    {"", "TensorScatter", OpKind::movement, 2, 3, 1, 1, "axis mode", infer_same, tensor_scatter_reference},
};

}  // namespace

std::span<const OpDef> scatter_ops() { return kScatterRows; }

}  // namespace lowbit
