#include "lowbit/runtime/plan/nest.h"

namespace lowbit::plan {
namespace {

Nest::Axis axis_of(const LoopAxis& loop) {
  Nest::Axis axis;
  axis.count = loop.count;
  for (size_t v = 0; v < loop.strides.size(); ++v) axis.stride[v] = loop.strides[v];
  return axis;
}

std::optional<Nest> build(std::vector<LoopAxis> loops, int64_t row_axis) {
  Nest nest;
  nest.n = axis_of(loops.back());
  loops.pop_back();
  if (row_axis < 0 && !loops.empty()) row_axis = static_cast<int64_t>(loops.size()) - 1;
  if (row_axis >= 0) {
    nest.rows = axis_of(loops[static_cast<size_t>(row_axis)]);
    loops.erase(loops.begin() + row_axis);
  }
  if (loops.size() > Nest::kOuter) return std::nullopt;
  for (const LoopAxis& loop : loops) {
    nest.outer[static_cast<size_t>(nest.outer_axes++)] = axis_of(loop);
    nest.outer_count *= loop.count;
  }
  nest.n_block = std::min(nest.n.count, Nest::kTaskElements);
  nest.row_block = std::clamp<int64_t>(Nest::kTaskElements / std::max<int64_t>(nest.n_block, 1), 1, nest.rows.count);
  return nest;
}

/// The batch axes of an operand, broadcast to those of the result.
View batch_view(const View& view, const Dims& batch) {
  View result = view;
  result.dims.resize(view.dims.size() - 2);
  result.strides.resize(view.dims.size() - 2);
  return *broadcast(result, batch);
}

}  // namespace

std::optional<Nest> make_nest(std::span<const View* const> views) { return build(collapse(views), -1); }

std::optional<Nest> make_copy_nest(const View& to, const View& from) {
  const View* views[] = {&to, &from};
  std::vector<LoopAxis> loops = collapse(views);
  int64_t row_axis = -1;
  if (loops.back().strides[1] != 1)
    for (size_t i = 0; i + 1 < loops.size(); ++i)
      if (loops[i].strides[1] == 1) row_axis = static_cast<int64_t>(i);
  return build(std::move(loops), row_axis);
}

Nest make_batch_nest(const View& y, const View& a, const View& b, const Dims& batch) {
  const View views[] = {batch_view(y, batch), batch_view(a, batch), batch_view(b, batch)};
  Nest nest;
  for (size_t axis = 0; axis < batch.size(); ++axis) {
    Nest::Axis& outer = nest.outer[axis];
    outer.count = batch[axis];
    for (size_t v = 0; v < 3; ++v) outer.stride[v] = views[v].strides[axis];
    nest.outer_count *= batch[axis];
  }
  nest.outer_axes = static_cast<int>(batch.size());
  return nest;
}

}  // namespace lowbit::plan
