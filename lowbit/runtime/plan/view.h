// view.h: a tensor inside a buffer: logical dimensions in the order of the graph, and the stride of each in memory.
// Moving axes (Transpose), cutting (Slice, Split) and joining (Reshape) mostly change strides and move nothing; a
// channels-last image is a view whose channel stride is 1.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "lowbit/runtime/plan/plan.h"

namespace lowbit::plan {

/// The order of axes in memory that a step asks for.
enum class Order : uint8_t {
  any,
  row_major,      ///< dense, last axis fastest
  channels_last,  ///< [N, C, spatial]: N, spatial, C; pixels may be further apart than their channels need
};

struct View {
  DType dtype = DType::undefined;
  Dims dims, strides;  ///< strides in elements
  BufferId buffer = -1;
  int64_t offset = 0;  ///< elements

  int64_t rank() const { return static_cast<int64_t>(dims.size()); }
  int64_t dim(int64_t axis) const { return dims[static_cast<size_t>(axis)]; }
  int64_t stride(int64_t axis) const { return strides[static_cast<size_t>(axis)]; }
  int64_t count() const { return element_count(dims); }
  Ref ref() const { return {buffer, offset * static_cast<int64_t>(dtype_bytes(dtype))}; }
};

/// The axes of a tensor of this rank from slowest to fastest.
std::vector<int64_t> axis_order(Order order, int64_t rank);
/// Strides of a dense tensor whose axes lie in memory in this order.
Dims strides_in(const Dims& dims, std::span<const int64_t> axes);

/// Whether the elements lie densely in this order of axes. Axes of one element lie anywhere.
bool is_dense(const View& view, std::span<const int64_t> axes);
bool is_row_major(const View& view);
/// The distance of pixels of a channels-last image, or nothing if it is none. Rank >= 2.
std::optional<int64_t> pixel_stride(const View& view);
/// The distance of rows (last axis contiguous, all others as one axis), or nothing.
std::optional<int64_t> row_stride(const View& view);
bool satisfies(const View& view, Order order);
/// The order of the axes in memory, slowest first, by stride.
std::vector<int64_t> memory_order(const View& view);

/// The same elements with other dimensions, if that needs no copy.
std::optional<View> reshaped(const View& view, const Dims& dims);

/// A nest of loops over several views of the same dimensions (a stride of 0 repeats), with axes joined where all views
/// allow: the last is the fastest of the first view.
struct LoopAxis {
  int64_t count;
  std::vector<int64_t> strides;  ///< of each view
};
std::vector<LoopAxis> collapse(std::span<const View* const> views);

/// A view of `view` broadcast to dims: strides 0 along repeated axes. Nothing if it does not broadcast.
std::optional<View> broadcast(const View& view, const Dims& dims);

}  // namespace lowbit::plan
