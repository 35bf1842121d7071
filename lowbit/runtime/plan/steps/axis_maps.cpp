#include "lowbit/runtime/plan/steps/axis_maps.h"

#include <algorithm>
#include <cstring>

namespace lowbit::plan {
namespace {

/// Rows of the last axis of y, one task each.
struct MapParams {
  Ref x, y;
  std::vector<AxisMap> offsets;  ///< of x by axis of y, in elements; -1: the filling
  Dims strides;                  ///< of y
  int64_t rows, run;             ///< run > 0: the last axis is a copy of so many elements that lie together
  uint64_t fill;
};

template <typename T>
void map_row(const MapParams& p, const T* x, T* y, int64_t from) {
  const AxisMap& last = p.offsets.back();
  const auto n = static_cast<int64_t>(last.size());
  const int64_t stride = p.strides.back();
  T fill;
  std::memcpy(&fill, &p.fill, sizeof fill);
  if (from >= 0 && p.run > 0) {
    std::memcpy(y, x + from + last[0], static_cast<size_t>(n) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = last[static_cast<size_t>(i)];
    y[i * stride] = from < 0 || at < 0 ? fill : x[from + at];
  }
}

template <typename T>
void map_rows(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const MapParams*>(raw);
  for (int64_t row = first; row < last; ++row) {
    int64_t index = row, from = 0, to = 0;
    for (size_t axis = p.offsets.size() - 1; axis-- > 0;) {
      const auto count = static_cast<int64_t>(p.offsets[axis].size());
      const int64_t offset = p.offsets[axis][static_cast<size_t>(index % count)];
      from = from < 0 || offset < 0 ? -1 : from + offset;
      to += index % count * p.strides[axis];
      index /= count;
    }
    map_row(p, context.at<const T>(p.x), context.at<T>(p.y) + to, from);
  }
}

}  // namespace

void emit_axis_maps(Builder& builder, int32_t node, const View& x, const View& y, std::vector<AxisMap> maps,
                    uint64_t fill) {
  MapParams p{x.ref(), y.ref(), std::move(maps), y.strides, 1, 0, fill};
  if (p.offsets.empty()) {
    p.offsets = {{0}};
    p.strides = {1};
  }
  const AxisMap& last = p.offsets.back();
  bool together = y.dims.empty() || (y.strides.back() == 1 && x.strides.back() == 1);
  for (size_t i = 0; i < last.size() && together; ++i)
    together = last[i] >= 0 && last[i] == last[0] + static_cast<int64_t>(i);
  p.run = together ? static_cast<int64_t>(last.size()) : 0;
  for (size_t axis = 0; axis < x.dims.size(); ++axis)
    for (int64_t& at : p.offsets[axis])
      if (at >= 0) at *= x.strides[axis];
  for (size_t axis = 0; axis + 1 < p.offsets.size(); ++axis) p.rows *= static_cast<int64_t>(p.offsets[axis].size());
  Draft draft;
  switch (dtype_bytes(y.dtype)) {
    case 1:
      draft.run = map_rows<uint8_t>;
      break;
    case 2:
      draft.run = map_rows<uint16_t>;
      break;
    case 4:
      draft.run = map_rows<uint32_t>;
      break;
    default:
      draft.run = map_rows<uint64_t>;
  }
  draft.tasks = p.rows;
  draft.nanoseconds = static_cast<double>(y.count()) * (p.run > 0 ? 0.2 : 1.0) + static_cast<double>(p.rows) * 5;
  draft.reads = {x.buffer};
  draft.writes = {y.buffer};
  draft.details.integer = !is_float(y.dtype);
  draft.details.bytes = 2 * y.count() * static_cast<int64_t>(dtype_bytes(y.dtype));
  draft.details.kernel = "elements chosen by axis";
  draft.params = std::make_shared<const MapParams>(std::move(p));
  builder.emit(node, std::move(draft));
}

}  // namespace lowbit::plan
