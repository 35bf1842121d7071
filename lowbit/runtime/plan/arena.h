// arena.h: where buffers lie in one block of memory, so that those that are never alive together share bytes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lowbit::plan {

inline constexpr int64_t kArenaAlignment = 64;

/// A buffer that holds data from step `first` to step `last`, both included.
struct Lifetime {
  int64_t bytes = 0;
  int32_t first = 0, last = 0;
};

struct ArenaLayout {
  std::vector<int64_t> offsets;  ///< multiples of kArenaAlignment
  int64_t bytes = 0;
};

/// Greedy by size: the largest first, each into the smallest gap between those already placed that are alive at the
/// same time. Overlap in time never overlaps in space. O(n^2).
ArenaLayout place_buffers(std::span<const Lifetime> buffers);

}  // namespace lowbit::plan
