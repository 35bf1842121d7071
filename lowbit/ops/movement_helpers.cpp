#include "lowbit/ops/movement_helpers.h"

#include <numeric>

namespace lowbit {

Tensor gather_strided(const Node& node, const Tensor& x, Dims dims, int64_t offset, Dims strides) {
  if (x.dtype() == DType::string)
    return move_elements(x,
                         [&](const Tensor& indices) { return gather_strided(node, indices, dims, offset, strides); });
  Tensor y = make_output(node, x.dtype(), std::move(dims));
  if (y.count() == 0) return y;
  const size_t bytes = dtype_bytes(x.dtype());
  Dims dense = row_major_strides(y.dims());
  const std::byte* first = x.raw().data() + offset * static_cast<int64_t>(bytes);
  strided_copy(bytes, y.dims(), {first, std::move(strides)}, {y.mutable_raw(), std::move(dense)});
  return y;
}

void place_strided(const Tensor& x, Tensor& y, int64_t offset, const Dims& strides) {
  const size_t bytes = dtype_bytes(x.dtype());
  strided_copy(bytes, x.dims(), {x.raw().data(), row_major_strides(x.dims())},
               {y.mutable_raw() + offset * static_cast<int64_t>(bytes), strides});
}

Tensor transposed(const Node& node, const Tensor& x, const std::vector<int64_t>& perm) {
  const Dims own = row_major_strides(x.dims());
  Dims dims, strides;
  for (int64_t axis : perm) {
    dims.push_back(x.dim(axis));
    strides.push_back(own[static_cast<size_t>(axis)]);
  }
  return gather_strided(node, x, std::move(dims), 0, std::move(strides));
}

Tensor move_elements(const Tensor& x, const std::function<Tensor(const Tensor&)>& move) {
  if (x.dtype() != DType::string) return move(x);
  Tensor indices(DType::int64, x.dims());
  std::iota(indices.mutable_data<int64_t>(), indices.mutable_data<int64_t>() + indices.count(), int64_t{0});
  const Tensor moved = move(indices);
  std::vector<std::string> values;
  for (int64_t index : moved.values<int64_t>()) values.push_back(x.string_values()[static_cast<size_t>(index)]);
  return Tensor::strings(moved.dims(), std::move(values));
}

}  // namespace lowbit
