#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lowbit/numbers/threshold_grid.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "lowbit/numbers/threshold_grid.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::ScalableTag<int32_t>;

template <bool kByPattern>
HWY_INLINE hn::Vec<IntTag> cells_of(const ThresholdGrid& grid, hn::Vec<FloatTag> x) {
  const FloatTag df;
  const IntTag di;
  if constexpr (kByPattern) {
    const auto bits = hn::BitCast(di, x);
    const auto ordered = hn::Xor(bits, hn::And(hn::BroadcastSignBit(bits), hn::Set(di, 0x7fffffff)));
    const auto cell = hn::Sub(hn::ShiftRightSame(ordered, grid.shift), hn::Set(di, grid.first));
    return hn::Min(hn::Max(cell, hn::Zero(di)), hn::Set(di, ThresholdGrid::kCells - 1));
  } else {
    const auto place = hn::Mul(hn::Sub(x, hn::Set(df, grid.low)), hn::Set(df, grid.cells_per_one));
    const auto limited = hn::Min(hn::Max(place, hn::Zero(df)), hn::Set(df, ThresholdGrid::kCells - 1));
    return hn::ConvertTo(di, limited);
  }
}

/// `counting`: code_of[i] = code_of[0] + i.
template <bool kByPattern>
void encode_by_grid(const ThresholdGrid& grid, const int32_t* code_of, bool counting, const float* x, int64_t n,
                    int32_t* codes) {
  const FloatTag df;
  const IntTag di;
  const auto first = hn::Set(di, code_of[0]);
  const float* thresholds = grid.thresholds.data();
  const auto step = [&](const float* from, int32_t* to) HWY_ATTR {
    const auto loaded = hn::LoadU(df, from);
    const auto value = hn::IfThenZeroElse(hn::IsNaN(loaded), loaded);
    auto index = hn::GatherIndex(di, grid.before.data(), cells_of<kByPattern>(grid, value));
    for (int32_t half = grid.reach / 2; half >= 1; half /= 2) {
      const auto above = hn::RebindMask(di, hn::Gt(value, hn::GatherIndex(df, thresholds + half - 1, index)));
      index = hn::Add(index, hn::IfThenElseZero(above, hn::Set(di, half)));
    }
    hn::StoreU(counting ? hn::Add(index, first) : hn::GatherIndex(di, code_of, index), di, to);
  };
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) step(x + i, codes + i);
  if (i == n) return;
  HWY_ALIGN float from[hn::MaxLanes(FloatTag())] = {};
  HWY_ALIGN int32_t to[hn::MaxLanes(FloatTag())];
  for (int64_t k = i; k < n; ++k) from[k - i] = x[k];
  step(from, to);
  for (int64_t k = i; k < n; ++k) codes[k] = to[k - i];
}

void grid_encode_vectors(const ThresholdGrid& grid, const int32_t* code_of, bool counting, const float* x, int64_t n,
                         int32_t* codes) {
  if (grid.by_pattern) return encode_by_grid<true>(grid, code_of, counting, x, n, codes);
  encode_by_grid<false>(grid, code_of, counting, x, n, codes);
}

}  // namespace lowbit::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace lowbit {
namespace {

int32_t ordered_pattern(float x) {
  const auto bits = std::bit_cast<int32_t>(x);
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}

/// As cells_of, operation by operation: the cell of a larger value is never a smaller one.
int32_t cell_of(const ThresholdGrid& grid, float x) {
  constexpr int32_t kLast = ThresholdGrid::kCells - 1;
  if (grid.by_pattern) return std::clamp((ordered_pattern(x) >> grid.shift) - grid.first, 0, kLast);
  return static_cast<int32_t>(std::clamp((x - grid.low) * grid.cells_per_one, 0.0f, static_cast<float>(kLast)));
}

/// Counts thresholds by cell and finds the longest search that remains.
void fill(ThresholdGrid& grid, std::span<const float> thresholds) {
  std::vector<int32_t> in_cell(ThresholdGrid::kCells, 0);
  for (const float t : thresholds) ++in_cell[static_cast<size_t>(cell_of(grid, t))];
  grid.before.resize(in_cell.size());
  int32_t sum = 0, fullest = 0;
  for (size_t c = 0; c < in_cell.size(); ++c) {
    grid.before[c] = sum;
    sum += in_cell[c];
    fullest = std::max(fullest, in_cell[c]);
  }
  grid.reach = static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(fullest) + 1));
}

/// Even cells of the value; nothing if the range or the width of a cell is no float.
std::optional<ThresholdGrid> even_grid(std::span<const float> thresholds) {
  ThresholdGrid grid;
  grid.low = thresholds.front();
  grid.cells_per_one = static_cast<float>(ThresholdGrid::kCells) / (thresholds.back() - grid.low);
  if (!std::isfinite(grid.cells_per_one) || !(grid.cells_per_one > 0)) return std::nullopt;
  fill(grid, thresholds);
  return grid;
}

ThresholdGrid pattern_grid(std::span<const float> thresholds) {
  ThresholdGrid grid;
  grid.by_pattern = true;
  const int64_t low = ordered_pattern(thresholds.front()), high = ordered_pattern(thresholds.back());
  while ((high >> grid.shift) - (low >> grid.shift) >= ThresholdGrid::kCells) ++grid.shift;
  grid.first = static_cast<int32_t>(low >> grid.shift);
  fill(grid, thresholds);
  return grid;
}

}  // namespace

std::optional<ThresholdGrid> threshold_grid(std::span<const float> thresholds) {
  std::vector<float> sorted(thresholds.begin(), thresholds.end());
  for (float& t : sorted) t += 0.0f;  // -0, whose pattern lies below that of the 0 that it equals, becomes 0
  ThresholdGrid grid = pattern_grid(sorted);
  if (auto even = even_grid(sorted); even && even->reach <= grid.reach) grid = std::move(*even);
  // The look-up of the cell takes as long as a step.
  if (2 * static_cast<size_t>(grid.reach) >= std::bit_ceil(thresholds.size() + 1)) return std::nullopt;
  sorted.resize(sorted.size() + static_cast<size_t>(grid.reach), std::numeric_limits<float>::infinity());
  grid.thresholds = std::move(sorted);
  return grid;
}

HWY_EXPORT(grid_encode_vectors);

void grid_encode_loop(const ThresholdGrid& grid, std::span<const int32_t> code_of, const float* x, int64_t n,
                      int32_t* codes) {
  bool counting = true;
  for (size_t k = 1; k < code_of.size(); ++k) counting = counting && code_of[k] == code_of[k - 1] + 1;
  HWY_DYNAMIC_DISPATCH(grid_encode_vectors)(grid, code_of.data(), counting, x, n, codes);
}

}  // namespace lowbit
#endif
