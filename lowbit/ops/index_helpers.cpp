#include "lowbit/ops/index_helpers.h"

#include <fmt/format.h>

#include "lowbit/base/checked.h"

namespace lowbit {
namespace {

int64_t checked_index(const Node& node, int64_t index, int64_t size) {
  if (index < -size || index >= size)
    node_error(node,
               fmt::format("index {} is outside a dimension of {} (the indices do not fit the data)", index, size));
  return index < 0 ? index + size : index;
}

void require_index_type(const Node& node, DType type) {
  if (type != DType::int32 && type != DType::int64) type_error(node, type);
}

}  // namespace

std::vector<int64_t> checked_indices(const Node& node, const Tensor& indices, int64_t size) {
  require_index_type(node, indices.dtype());
  std::vector<int64_t> values = to_int64(indices);
  for (int64_t& value : values) value = checked_index(node, value, size);
  return values;
}

std::vector<int64_t> tuple_offsets(const Node& node, const Tensor& indices, const Dims& dims, size_t first) {
  require_index_type(node, indices.dtype());
  if (indices.rank() < 1) node_error(node, "the indices need at least one dimension");
  const size_t length = static_cast<size_t>(indices.dims().back());
  if (first + length > dims.size())
    node_error(node, fmt::format("tuples of {} indices do not fit the data {}", length, dims_text(dims)));
  const std::vector<int64_t> values = to_int64(indices);
  std::vector<int64_t> offsets(static_cast<size_t>(count_between(indices.dims(), 0, indices.dims().size() - 1)));
  for (size_t row = 0; row < offsets.size(); ++row)
    for (size_t k = 0; k < length; ++k) {
      const int64_t size = dims[first + k];
      offsets[row] = checked_add(checked_mul(offsets[row], size), checked_index(node, values[row * length + k], size));
    }
  return offsets;
}

void require_element_indices(const Node& node, const Dims& index_dims, const Dims& dims, size_t axis) {
  bool fits = index_dims.size() == dims.size();
  for (size_t i = 0; fits && i < dims.size(); ++i) fits = i == axis || index_dims[i] <= dims[i];
  if (!fits) node_error(node, fmt::format("indices {} do not fit the data {}", dims_text(index_dims), dims_text(dims)));
}

}  // namespace lowbit
