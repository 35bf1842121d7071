#include "lowbit/runtime/plan/view.h"

#include <algorithm>
#include <numeric>

namespace lowbit::plan {

std::vector<int64_t> axis_order(Order order, int64_t rank) {
  std::vector<int64_t> axes(static_cast<size_t>(rank));
  std::iota(axes.begin(), axes.end(), int64_t{0});
  if (order == Order::channels_last && rank > 2) std::rotate(axes.begin() + 1, axes.begin() + 2, axes.end());
  return axes;
}

Dims strides_in(const Dims& dims, std::span<const int64_t> axes) {
  Dims strides(dims.size(), 1);
  int64_t step = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    const auto axis = static_cast<size_t>(axes[i]);
    strides[axis] = step;
    step *= std::max<int64_t>(dims[axis], 1);
  }
  return strides;
}

bool is_dense(const View& view, std::span<const int64_t> axes) {
  const Dims wanted = strides_in(view.dims, axes);
  for (size_t i = 0; i < wanted.size(); ++i)
    if (view.dims[i] > 1 && view.strides[i] != wanted[i]) return false;
  return true;
}

bool is_row_major(const View& view) { return is_dense(view, axis_order(Order::row_major, view.rank())); }

namespace {

/// The common distance of the elements of all axes in this order (slowest first) as one axis, or nothing.
std::optional<int64_t> joined_stride(const View& view, std::span<const int64_t> axes, int64_t least) {
  int64_t step = 0, count = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    const int64_t n = view.dim(axes[i]), stride = view.stride(axes[i]);
    if (n == 1) continue;
    if (step == 0)
      step = stride;
    else if (stride != step * count)
      return std::nullopt;
    count *= n;
  }
  if (step == 0) return least;
  return step >= least ? std::optional(step) : std::nullopt;
}

}  // namespace

std::optional<int64_t> pixel_stride(const View& view) {
  if (view.rank() < 2 || (view.dim(1) > 1 && view.stride(1) != 1)) return std::nullopt;
  std::vector<int64_t> axes = axis_order(Order::channels_last, view.rank());
  axes.pop_back();
  if (view.rank() == 2) axes = {0};
  return joined_stride(view, axes, view.dim(1));
}

std::optional<int64_t> row_stride(const View& view) {
  if (view.rank() < 1) return std::nullopt;
  const int64_t last = view.rank() - 1;
  if (view.dim(last) > 1 && view.stride(last) != 1) return std::nullopt;
  std::vector<int64_t> axes(static_cast<size_t>(last));
  std::iota(axes.begin(), axes.end(), int64_t{0});
  return joined_stride(view, axes, view.dim(last));
}

bool satisfies(const View& view, Order order) {
  if (order == Order::row_major) return is_row_major(view);
  return order == Order::any || pixel_stride(view).has_value();
}

std::vector<int64_t> memory_order(const View& view) {
  std::vector<int64_t> axes, wide;
  for (int64_t axis = 0; axis < view.rank(); ++axis) (view.dim(axis) > 1 ? wide : axes).push_back(axis);
  std::stable_sort(wide.begin(), wide.end(), [&](int64_t a, int64_t b) { return view.stride(a) > view.stride(b); });
  axes.insert(axes.end(), wide.begin(), wide.end());
  return axes;
}

std::optional<View> reshaped(const View& view, const Dims& dims) {
  View result = view;
  result.dims = dims;
  result.strides.assign(dims.size(), 1);
  std::vector<size_t> old;  // axes of more than one element
  for (size_t i = 0; i < view.dims.size(); ++i)
    if (view.dims[i] != 1) old.push_back(i);
  // Groups of old and new axes with equal products; inside a group the old axes must be joinable.
  size_t i = 0, j = 0;
  while (i < old.size()) {
    size_t i_end = i + 1, j_end = j;
    int64_t old_count = view.dims[old[i]], new_count = 1;
    while (j_end < dims.size() && new_count < old_count) new_count *= dims[j_end++];
    while (new_count != old_count) {
      if (new_count < old_count) {
        if (j_end == dims.size()) return std::nullopt;
        new_count *= dims[j_end++];
      } else {
        if (i_end == old.size()) return std::nullopt;
        old_count *= view.dims[old[i_end++]];
      }
    }
    for (size_t k = i; k + 1 < i_end; ++k)
      if (view.strides[old[k]] != view.strides[old[k + 1]] * view.dims[old[k + 1]]) return std::nullopt;
    int64_t step = view.strides[old[i_end - 1]];
    for (size_t k = j_end; k-- > j;) {
      result.strides[k] = step;
      step *= dims[k];
    }
    i = i_end;
    j = j_end;
  }
  for (; j < dims.size(); ++j)
    if (dims[j] != 1) return std::nullopt;
  return result;
}

std::vector<LoopAxis> collapse(std::span<const View* const> views) {
  std::vector<LoopAxis> loops;
  for (const int64_t axis : memory_order(*views[0])) {
    if (views[0]->dim(axis) == 1) continue;
    LoopAxis next{views[0]->dim(axis), {}};
    for (const View* view : views) next.strides.push_back(view->stride(axis));
    bool joins = !loops.empty();
    for (size_t v = 0; joins && v < views.size(); ++v) joins = loops.back().strides[v] == next.strides[v] * next.count;
    if (joins) {
      loops.back().count *= next.count;
      loops.back().strides = next.strides;
    } else {
      loops.push_back(std::move(next));
    }
  }
  if (loops.empty()) loops.push_back({1, std::vector<int64_t>(views.size(), 1)});
  return loops;
}

std::optional<View> broadcast(const View& view, const Dims& dims) {
  if (view.dims.size() > dims.size()) return std::nullopt;
  View result = view;
  result.dims = dims;
  result.strides.assign(dims.size(), 0);
  const size_t shift = dims.size() - view.dims.size();
  for (size_t i = 0; i < view.dims.size(); ++i) {
    if (view.dims[i] == dims[i + shift])
      result.strides[i + shift] = view.dims[i] == 1 ? 0 : view.strides[i];
    else if (view.dims[i] != 1)
      return std::nullopt;
  }
  return result;
}

}  // namespace lowbit::plan
