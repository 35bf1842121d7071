#include "lowbit/runtime/plan/arena.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "lowbit/base/checked.h"

namespace lowbit::plan {
namespace {

int64_t aligned(int64_t bytes) { return checked_add(bytes, kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

}  // namespace

ArenaLayout place_buffers(std::span<const Lifetime> buffers) {
  ArenaLayout layout;
  layout.offsets.assign(buffers.size(), 0);
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<size_t> placed;  // by offset
  for (const size_t i : order) {
    const int64_t bytes = aligned(buffers[i].bytes);
    int64_t best = -1, best_gap = std::numeric_limits<int64_t>::max(), end = 0;
    for (const size_t other : placed) {
      if (buffers[other].last < buffers[i].first || buffers[i].last < buffers[other].first) continue;
      const int64_t gap = layout.offsets[other] - end;
      if (gap >= bytes && gap < best_gap) best = end, best_gap = gap;
      end = std::max(end, checked_add(layout.offsets[other], aligned(buffers[other].bytes)));
    }
    layout.offsets[i] = best >= 0 ? best : end;
    layout.bytes = std::max(layout.bytes, checked_add(layout.offsets[i], bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) { return layout.offsets[a] < layout.offsets[b]; }),
                  i);
  }
  return layout;
}

}  // namespace lowbit::plan
