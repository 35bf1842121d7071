// threshold_grid.h: where to begin a search among many thresholds. The axis is cut into cells, even ones of the value
// or of the bit pattern of the float (even in the logarithm), whichever leaves fewer thresholds in the fullest cell; a
// cell knows how many thresholds lie in cells before it, so that few steps of the search remain.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lowbit {

struct ThresholdGrid {
  static constexpr int32_t kCells = 2048;

  bool by_pattern = false;
  float low = 0, cells_per_one = 0;  ///< by value: cell = clamp(trunc((x - low) * cells_per_one))
  int shift = 0;                     ///< by pattern: cell = clamp((ordered pattern of x >> shift) - first)
  int32_t first = 0;
  int32_t reach = 1;              ///< the remaining search: a power of two above the thresholds of the fullest cell
  std::vector<int32_t> before;    ///< by cell: thresholds in the cells before it
  std::vector<float> thresholds;  ///< ascending, then infinities for a search that begins at the last one
};

/// Of ascending finite thresholds, at least one; nothing if a search of all takes no more steps.
std::optional<ThresholdGrid> threshold_grid(std::span<const float> thresholds);

/// codes[i] = code_of[the number of thresholds below x[i]]; NaN counts as 0. The same bits on every instruction set.
///   code_of  thresholds + 1 entries
void grid_encode_loop(const ThresholdGrid& grid, std::span<const int32_t> code_of, const float* x, int64_t n,
                      int32_t* codes);

}  // namespace lowbit
