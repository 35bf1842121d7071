// Operators whose results are elements of their input chosen by index: Gather, Pad that repeats, Expand, Tile.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "lowbit/base/error.h"
#include "lowbit/runtime/plan/steps/axis_maps.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

AxisMap whole_axis(int64_t size) {
  AxisMap map(static_cast<size_t>(size));
  std::iota(map.begin(), map.end(), int64_t{0});
  return map;
}

std::vector<AxisMap> whole_axes(const Dims& dims) {
  std::vector<AxisMap> maps;
  for (const int64_t size : dims) maps.push_back(whole_axis(size));
  return maps;
}

/// The operand as it is kept if the result is kept alike, else as real numbers.
struct Moved {
  View x;
  bool real;
};
Moved moved_operand(Builder& builder, const Node& node, Order order) {
  const auto coded = [&](ValueId id) {
    const auto& q = builder.graph().value(id).quantization;
    return q && !q->dynamic;
  };
  const bool alike = kept_alike(builder, node.inputs[0], node.outputs[0]) && !builder.known(node.inputs[0]);
  if (alike || (!coded(node.inputs[0]) && !coded(node.outputs[0])))
    return {builder.operand(node.inputs[0], order), false};
  return {builder.real_operand(node.inputs[0], order), true};
}
View moved_result(Builder& builder, const Node& node, const Moved& from, const Dims& dims) {
  return from.real ? builder.real_result(node.outputs[0], dims, Order::row_major)
                   : builder.result(node.outputs[0], from.x.dtype, dims, Order::row_major);
}

/// Gather by indices that come at run time: blocks of `block` elements that lie together.
struct GatherParams {
  Ref x, indices, y;
  int64_t outer, count, block, axis_size, x_outer;  ///< outer times count blocks; x_outer: elements between the outers
  bool wide;                                        ///< int64 indices
  size_t bytes;
};

void run_gather(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const GatherParams*>(raw);
  for (int64_t task = first; task < last; ++task) {
    const int64_t i = task % p.count;
    int64_t at = p.wide ? context.at<const int64_t>(p.indices)[i] : context.at<const int32_t>(p.indices)[i];
    if (at < 0) at += p.axis_size;
    std::byte* to = context.raw(p.y) + static_cast<size_t>(task * p.block) * p.bytes;
    if (at < 0 || at >= p.axis_size) {
      *context.error = std::make_exception_ptr(Error(ErrorCode::bad_argument, "an index lies outside its axis"));
      return;
    }
    std::memcpy(to, context.raw(p.x) + static_cast<size_t>(task / p.count * p.x_outer + at * p.block) * p.bytes,
                static_cast<size_t>(p.block) * p.bytes);
  }
}

bool gather_at_run_time(Builder& builder, int32_t n, int64_t axis, std::string& why) {
  const Node& node = builder.node(n);
  const View indices = builder.operand(node.inputs[1], Order::row_major);
  if (indices.dtype != DType::int64 && indices.dtype != DType::int32) return why = "its indices are no integers", false;
  const Moved from = moved_operand(builder, node, Order::row_major);
  const Dims& dims = from.x.dims;
  Dims made(dims.begin(), dims.begin() + axis);
  made.insert(made.end(), indices.dims.begin(), indices.dims.end());
  made.insert(made.end(), dims.begin() + axis + 1, dims.end());
  const View y = moved_result(builder, node, from, made);
  GatherParams p{};
  p.x = from.x.ref();
  p.indices = indices.ref();
  p.y = y.ref();
  p.outer = element_count(Dims(dims.begin(), dims.begin() + axis));
  p.block = element_count(Dims(dims.begin() + axis + 1, dims.end()));
  p.axis_size = dims[static_cast<size_t>(axis)];
  p.x_outer = p.axis_size * p.block;
  p.count = indices.count();
  p.wide = indices.dtype == DType::int64;
  p.bytes = dtype_bytes(from.x.dtype);
  Draft draft;
  draft.run = run_gather;
  draft.tasks = p.outer * p.count;
  draft.nanoseconds = static_cast<double>(y.count()) * 0.2 + static_cast<double>(draft.tasks) * 4;
  draft.reads = {from.x.buffer, indices.buffer};
  draft.writes = {y.buffer};
  draft.details.bytes = 2 * y.count() * static_cast<int64_t>(p.bytes);
  draft.details.kernel = "rows chosen by index";
  draft.params = std::make_shared<const GatherParams>(p);
  builder.emit(n, std::move(draft));
  if (from.real) builder.finish_real(node.outputs[0]);
  return true;
}

/// Index of the input for a padded index.
int64_t reflected(int64_t at, int64_t size, std::string_view mode) {
  if (mode == "edge") return std::clamp<int64_t>(at, 0, size - 1);
  if (mode == "wrap") return (at % size + size) % size;
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1), folded = (at % period + period) % period;
  return folded < size ? folded : period - folded;
}

bool emit_maps(Builder& builder, int32_t n, const Moved& from, std::vector<AxisMap> maps) {
  Dims dims;
  for (const AxisMap& map : maps) dims.push_back(static_cast<int64_t>(map.size()));
  const View y = moved_result(builder, builder.node(n), from, dims);
  emit_axis_maps(builder, n, from.x, y, std::move(maps), 0);
  if (from.real) builder.finish_real(builder.node(n).outputs[0]);
  return true;
}

bool movable(const Builder& builder, const Node& node, std::string& why) {
  if (!builder.ready(node.input(0))) return why = "its input is not computed", false;
  if (builder.graph().value(node.inputs[0]).dtype == DType::string) return why = "its elements have no size", false;
  return true;
}

}  // namespace

bool make_gather(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!movable(builder, node, why) || !builder.ready(node.input(1))) return false;
  const Dims dims = builder.dims(node.inputs[0]);
  const auto rank = static_cast<int64_t>(dims.size());
  int64_t axis = node.attr_int("axis", 0);
  if (axis < -rank || axis >= rank) return why = "its axis does not fit", false;
  if (axis < 0) axis += rank;
  const Tensor* known = builder.known(node.inputs[1]);
  if (!known) return gather_at_run_time(builder, n, axis, why);
  if (!is_integer(known->dtype()) || known->rank() > 1 || builder.known(node.inputs[0]))
    return why = "its indices are no list", false;
  const int64_t size = dims[static_cast<size_t>(axis)];
  AxisMap indices = to_int64(*known);
  for (int64_t& at : indices) {
    if (at < -size || at >= size) return why = "an index lies outside its axis", false;
    if (at < 0) at += size;
  }
  if (known->rank() == 0 && kept_alike(builder, node.inputs[0], node.outputs[0])) {
    View view = builder.operand(node.inputs[0]);  // one index: a part without this axis
    view.offset += indices[0] * view.strides[static_cast<size_t>(axis)];
    view.dims.erase(view.dims.begin() + axis);
    view.strides.erase(view.strides.begin() + axis);
    builder.alias(node.outputs[0], view);
    return true;
  }
  if (known->rank() == 0) return why = "its result has other parameters than its input", false;
  const Moved from = moved_operand(builder, node, Order::row_major);
  std::vector<AxisMap> maps = whole_axes(dims);
  maps[static_cast<size_t>(axis)] = std::move(indices);
  return emit_maps(builder, n, from, std::move(maps));
}

bool make_repeating_pad(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const std::string mode = node.attr_string("mode", "constant");
  const Tensor* pads = builder.known(node.input(1));
  if (!movable(builder, node, why) || builder.known(node.inputs[0])) return false;
  const Dims dims = builder.dims(node.inputs[0]);
  const size_t rank = dims.size();
  if (mode == "constant" || !pads || node.input(3) != kNone || pads->count() != 2 * static_cast<int64_t>(rank))
    return why = "its sizes are not known while planning, or not of all axes", false;
  const std::vector<int64_t> sizes = to_int64(*pads);
  std::vector<AxisMap> maps(rank);
  for (size_t axis = 0; axis < rank; ++axis) {
    const int64_t begin = sizes[axis], end = sizes[axis + rank];
    if (begin < 0 || end < 0 || begin > INT32_MAX || end > INT32_MAX) return why = "it cuts", false;
    for (int64_t i = -begin; i < dims[axis] + end; ++i) maps[axis].push_back(reflected(i, dims[axis], mode));
  }
  return emit_maps(builder, n, moved_operand(builder, node, Order::row_major), std::move(maps));
}

bool make_expand(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Tensor* wanted = builder.known(node.input(1));
  if (!movable(builder, node, why) || !wanted || !is_integer(wanted->dtype()))
    return why = "its shape is not known while planning", false;
  const Dims dims = builder.dims(node.inputs[0]);
  Dims made = to_int64(*wanted);
  if (node.is("Tile")) {
    if (made.size() != dims.size()) return why = "its repeats do not fit", false;
    for (size_t i = 0; i < made.size(); ++i) made[i] *= dims[i];
  } else {
    made = broadcast_dims(dims, made);
  }
  if (std::any_of(made.begin(), made.end(), [](int64_t d) { return d <= 0; }))
    return why = "its result is empty", false;
  const Moved from = moved_operand(builder, node, Order::row_major);
  Moved padded = from;  // axes of one in front
  padded.x.dims.insert(padded.x.dims.begin(), made.size() - dims.size(), 1);
  padded.x.strides.insert(padded.x.strides.begin(), made.size() - dims.size(), 0);
  std::vector<AxisMap> maps(made.size());
  for (size_t axis = 0; axis < made.size(); ++axis)
    for (int64_t i = 0; i < made[axis]; ++i) maps[axis].push_back(i % padded.x.dims[axis]);
  return emit_maps(builder, n, padded, std::move(maps));
}

}  // namespace lowbit::plan
