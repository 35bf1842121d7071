// nest.h: loops over the elements of up to three views at once, cut into tasks of rows.
#pragma once

#include <algorithm>
#include <array>

#include "lowbit/runtime/plan/view.h"

namespace lowbit::plan {

/// outer x rows x n elements; view v moves by stride[v] along each. Plain data, read while running.
struct Nest {
  static constexpr int kViews = 3, kOuter = 8;
  static constexpr int64_t kTaskElements = 8192;  ///< of one task at most
  struct Axis {
    int64_t count = 1;
    std::array<int64_t, kViews> stride{};
  };
  Axis n, rows;
  std::array<Axis, kOuter> outer;
  int outer_axes = 0;
  int64_t outer_count = 1, row_block = 1, n_block = 1;  ///< a task is a block of rows and of n

  int64_t row_tasks() const { return (rows.count + row_block - 1) / row_block; }
  int64_t n_tasks() const { return (n.count + n_block - 1) / n_block; }
  int64_t tasks() const { return outer_count * row_tasks() * n_tasks(); }

  /// Calls f(element offsets by view, rows, n) for each task.
  template <typename F>
  void run(int64_t first, int64_t last, F&& f) const {
    for (int64_t task = first; task < last; ++task) {
      const int64_t n0 = task % n_tasks() * n_block, rest = task / n_tasks(), r0 = rest % row_tasks() * row_block;
      std::array<int64_t, kViews> at{};
      int64_t index = rest / row_tasks();
      for (int axis = outer_axes - 1; axis >= 0; --axis) {
        const Axis& loop = outer[static_cast<size_t>(axis)];
        for (size_t v = 0; v < kViews; ++v) at[v] += index % loop.count * loop.stride[v];
        index /= loop.count;
      }
      for (size_t v = 0; v < kViews; ++v) at[v] += r0 * rows.stride[v] + n0 * n.stride[v];
      f(at, std::min(row_block, rows.count - r0), std::min(n_block, n.count - n0));
    }
  }
};

/// The nest of views of the same dimensions, joined where possible; the first view decides the order, its fastest axis
/// is n. Nothing if there are too many axes.
std::optional<Nest> make_nest(std::span<const View* const> views);

/// The same for a copy between two orders: if the fastest axes differ, `rows` is the axis along which view 1 is
/// contiguous, so that the inner loops transpose.
std::optional<Nest> make_copy_nest(const View& to, const View& from);

/// One task for each matrix of a batch: the axes of y, a and b in front of the last two, a and b broadcast to `batch`.
Nest make_batch_nest(const View& y, const View& a, const View& b, const Dims& batch);

}  // namespace lowbit::plan
