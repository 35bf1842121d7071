// block_summary.h: everything the statistics need of up to 1024 floats, in one pass over them, on the widest vectors
// the machine has. What comes out is exact, so it does not depend on the vector width.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lowbit {

inline constexpr size_t kBlockValues = 1024;
/// The key array needs this much room behind the last key.
inline constexpr size_t kKeySlack = 64;
/// Levels that a sum over the whole float range takes (276 bits, 43 new bits a level).
inline constexpr int kMaxLevels = 8;

struct BlockSummary {
  size_t finite = 0;       ///< values that are neither NaN nor infinite; the rest is left out of all else
  size_t nonzero = 0;      ///< finite values that are not zero, and the number of keys
  float min = 0, max = 0;  ///< of the finite values, never -0; undefined if there are none
  /// Bits of the smallest and largest |x| among the nonzero values; undefined if there are none.
  uint32_t min_magnitude = 0, max_magnitude = 0;
  /// The sum of x and of min(float32(x * x), largest float), each split into exact doubles that are to be added.
  int sum_levels = 0, square_levels = 0;
  double sums[kMaxLevels], squares[kMaxLevels];
};

/// Summarises x[0, n), n <= kBlockValues.
///   keys  room for n + kKeySlack: the top 15 bits of every nonzero finite value, in order; or null where they are not
///   wanted
/// The thread must be in the IEEE mode (FloatMode).
void summarize_block(const float* x, size_t n, uint32_t* keys, BlockSummary& summary);

}  // namespace lowbit
