// index_helpers.h: indices that come from data. They are checked and made non-negative before any loop uses them.
#pragma once

#include <vector>

#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/op_helpers.h"

namespace lowbit {

/// The values of an int32 or int64 index tensor, each in [0, size). Throws Error{bad_file} naming the node, the index
/// and its bounds.
std::vector<int64_t> checked_indices(const Node& node, const Tensor& indices, int64_t size);

/// For index tuples [..., k] into the dimensions dims[first ... first + k): the offset of each tuple in units of the
/// block that k indices leave, rows in order. Throws Error{bad_file} for an index out of range.
std::vector<int64_t> tuple_offsets(const Node& node, const Tensor& indices, const Dims& dims, size_t first);

/// Calls f(position in `indices`, offset in `dims` with the coordinate along `axis` left out) for every element of an
/// index tensor whose dims are at most `dims` elsewhere (GatherElements, ScatterElements).
template <typename F>
void for_each_element_index(const Dims& index_dims, const Dims& dims, size_t axis, F&& f) {
  const Dims strides = row_major_strides(dims);
  Dims at(index_dims.size());
  int64_t offset = 0;
  const int64_t count = element_count(index_dims);
  for (int64_t i = 0; i < count; ++i) {
    f(i, offset);
    for (size_t k = at.size(); k-- > 0;) {
      const int64_t stride = k == axis ? 0 : strides[k];
      offset += stride;
      if (++at[k] < index_dims[k]) break;
      offset -= stride * index_dims[k];
      at[k] = 0;
    }
  }
}

/// Throws Error{bad_file} unless the index dims fit the data: the same rank, no larger except along `axis`.
void require_element_indices(const Node& node, const Dims& index_dims, const Dims& dims, size_t axis);

}  // namespace lowbit
