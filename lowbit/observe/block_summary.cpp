// The exact sums need no integer arithmetic: a float has 24 bits, a double 53, so doubles add floats of like magnitude
// without rounding. What is too small for that is split off first by adding and subtracting a large constant
// (x + C) - C, which rounds x to a multiple of a power of two and leaves an exact rest (Rump, Ogita, Oishi: "Accurate
// floating-point summation", SIAM J. Sci. Comput. 31, 2008). One level does for nearly all blocks of x, two for x * x.
#include "lowbit/observe/block_summary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lowbit/observe/block_summary.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#ifndef LOWBIT_OBSERVE_BLOCK_SUMMARY_ONCE
#define LOWBIT_OBSERVE_BLOCK_SUMMARY_ONCE
namespace lowbit {
namespace {

constexpr uint32_t kMagnitudeMask = 0x7fffffff, kInfinity = 0x7f800000;
constexpr int kKeyShift = 17;  // 32 - (1 + 8 + 6)
constexpr int kSumBits = 10;   // log2(kBlockValues)
constexpr int kDoubleBits = 53;

/// How to split numbers below 2^top whose lowest bit is at least 2^bottom: for each level but the last the constant of
/// the splitting addition.
struct Splitting {
  int levels = 1;
  double constants[kMaxLevels];

  Splitting(int top, int bottom) {
    // A sum of 2^kSumBits numbers |x| <= 2^top that are multiples of 2^grid is exact if it fits 53 bits.
    for (int grid = top + kSumBits - kDoubleBits; grid > bottom; grid += kSumBits - kDoubleBits - 1) {
      // |x| < 2^(51 + grid), so the sum stays in one binade of doubles with spacing 2^grid; the rest is <= 2^(grid -
      // 1).
      constants[levels - 1] = std::ldexp(1.5, grid + kDoubleBits - 1);
      ++levels;
    }
  }
};

/// For each set of 8 lanes the numbers of its lanes, one byte each, lowest first.
constexpr std::array<uint64_t, 256> kept_lanes() {
  std::array<uint64_t, 256> table{};
  for (uint32_t set = 0; set < 256; ++set)
    for (uint32_t lane = 0, at = 0; lane < 8; ++lane)
      if (set >> lane & 1) table[set] |= uint64_t{lane} << (8 * at++);
  return table;
}
constexpr std::array<uint64_t, 256> kKeptLanes = kept_lanes();

/// floor(log2) of a nonzero magnitude given by its bits.
int exponent_of(uint32_t magnitude) {
  return magnitude >= 0x00800000u ? static_cast<int>(magnitude >> 23) - 127 : std::bit_width(magnitude) - 150;
}

}  // namespace
}  // namespace lowbit
#endif

HWY_BEFORE_NAMESPACE();
namespace lowbit {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<D>;
using DD = hn::ScalableTag<double>;
using DH = hn::Rebind<float, DD>;

/// Running extremes and keys.
struct Scan {
  static constexpr D d{};
  static constexpr DU du{};
  hn::Vec<D> min = hn::Set(d, std::numeric_limits<float>::infinity());
  hn::Vec<D> max = hn::Set(d, -std::numeric_limits<float>::infinity());
  hn::Vec<DU> largest = hn::Zero(du);
  /// Of magnitude - 1, so that zero wraps around and never is the smallest.
  hn::Vec<DU> smallest = hn::Set(du, ~uint32_t{0});
  uint32_t* keys;  ///< end of those written, or null
  size_t nonzero = 0;

  explicit HWY_INLINE Scan(uint32_t* keys_begin) : keys(keys_begin) {}

  /// Writes the keys that are not of zeros, one after the other.
  HWY_INLINE void store_but_zeros(hn::Vec<DU> key, hn::Mask<DU> is_zero) {
#if HWY_TARGET <= HWY_AVX3
    hn::StoreU(hn::Compress(key, hn::Not(is_zero)), du, keys);
#elif HWY_TARGET == HWY_AVX2
    // Highway looks the permutation up as well, but in a table that GCC 12 copies to the stack each time.
    uint8_t kept[8];
    hn::StoreMaskBits(du, hn::Not(is_zero), kept);
    const hn::Rebind<uint8_t, DU> bytes;
    const auto lanes = hn::PromoteTo(du, hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(&kKeptLanes[kept[0]])));
    hn::StoreU(hn::TableLookupLanes(key, hn::IndicesFromVec(du, lanes)), du, keys);
#else
    constexpr uint32_t kSkipped = ~uint32_t{0};
    HWY_ALIGN uint32_t lanes[HWY_MAX_BYTES / sizeof(uint32_t)];
    hn::Store(hn::IfThenElse(is_zero, hn::Set(du, kSkipped), key), du, lanes);
    uint32_t* end = keys;
    for (size_t i = 0; i < hn::Lanes(du); ++i) {
      *end = lanes[i];
      end += lanes[i] != kSkipped ? 1 : 0;
    }
#endif
  }

  HWY_INLINE void step(hn::Vec<D> x) {
    const auto bits = hn::BitCast(du, x);
    const auto magnitude = hn::And(bits, hn::Set(du, kMagnitudeMask));
    min = hn::Min(min, x);
    max = hn::Max(max, x);
    largest = hn::Max(largest, magnitude);
    smallest = hn::Min(smallest, hn::Sub(magnitude, hn::Set(du, 1)));
    const auto is_zero = hn::Eq(magnitude, hn::Zero(du));
    const size_t kept = hn::Lanes(d) - hn::CountTrue(du, is_zero);
    nonzero += kept;
    if (keys == nullptr) return;
    const auto key = hn::ShiftRight<kKeyShift>(bits);
    if (kept == hn::Lanes(d))
      hn::StoreU(key, du, keys);
    else
      store_but_zeros(key, is_zero);
    keys += kept;
  }
};

/// Sums with a fixed number of levels (0: as many as the splitting says). kSquares: of min(float32(x * x), largest).
template <int kLevels, bool kSquares>
HWY_INLINE void add_levels(const float* HWY_RESTRICT x, size_t n, const Splitting& splitting, double* out) {
  const DD dd;
  const DH dh;
  const int levels = kLevels > 0 ? kLevels : splitting.levels;
  const size_t lanes = hn::Lanes(dd);
  // Two of each, so that an addition need not wait for the one before.
  hn::Vec<DD> first[2] = {hn::Zero(dd), hn::Zero(dd)}, last[2] = {hn::Zero(dd), hn::Zero(dd)};
  HWY_ALIGN double middle[kMaxLevels * HWY_MAX_BYTES / sizeof(double)] = {};
  const auto constant0 = hn::Set(dd, levels > 1 ? splitting.constants[0] : 0.0);
  const auto step = [&](hn::Vec<DH> v, int half) HWY_ATTR {
    if (kSquares) v = hn::Min(hn::Mul(v, v), hn::Set(dh, std::numeric_limits<float>::max()));
    auto rest = hn::PromoteTo(dd, v);
    if (levels > 1) {
      const auto high = hn::Sub(hn::Add(rest, constant0), constant0);
      first[half] = hn::Add(first[half], high);
      rest = hn::Sub(rest, high);
    }
    for (int level = 1; level < levels - 1; ++level) {
      const auto constant = hn::Set(dd, splitting.constants[level]);
      const auto high = hn::Sub(hn::Add(rest, constant), constant);
      double* sum = middle + static_cast<size_t>(level) * lanes;
      hn::Store(hn::Add(hn::Load(dd, sum), high), dd, sum);
      rest = hn::Sub(rest, high);
    }
    last[half] = hn::Add(last[half], rest);
  };
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    step(hn::LoadU(dh, x + i), 0);
    step(hn::LoadU(dh, x + i + lanes), 1);
  }
  for (; i < n; i += lanes) {
    HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
    std::copy(x + i, x + std::min(n, i + lanes), tail);
    step(hn::Load(dh, tail), 0);
  }
  if (levels > 1) out[0] = hn::GetLane(hn::SumOfLanes(dd, hn::Add(first[0], first[1])));
  for (int level = 1; level < levels - 1; ++level)
    out[level] = hn::GetLane(hn::SumOfLanes(dd, hn::Load(dd, middle + static_cast<size_t>(level) * lanes)));
  out[levels - 1] = hn::GetLane(hn::SumOfLanes(dd, hn::Add(last[0], last[1])));
}

template <bool kSquares>
HWY_INLINE int add_split(const float* HWY_RESTRICT x, size_t n, int top, int bottom, double* out) {
  const Splitting splitting(top, std::max(bottom, -149));
  if (splitting.levels == 1)
    add_levels<1, kSquares>(x, n, splitting, out);
  else if (splitting.levels == 2)
    add_levels<2, kSquares>(x, n, splitting, out);
  else
    add_levels<0, kSquares>(x, n, splitting, out);
  return splitting.levels;
}

/// Extremes and keys of values that may hold non-finite ones; false if they do (the summary is then useless).
HWY_INLINE bool scan(const float* HWY_RESTRICT x, size_t n, uint32_t* keys, BlockSummary& summary) {
  const D d;
  const DU du;
  const size_t lanes = hn::Lanes(d);
  Scan state(keys);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) state.step(hn::LoadU(d, x + i));
  size_t padding = 0;
  if (i < n) {
    // Repeating the last value changes no extreme, and its keys are the last ones.
    HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)];
    std::fill(std::copy(x + i, x + n, tail), tail + lanes, x[n - 1]);
    state.step(hn::Load(d, tail));
    padding = x[n - 1] != 0 ? lanes - (n - i) : 0;
  }
  summary.finite = n;
  summary.nonzero = state.nonzero - padding;
  summary.max_magnitude = hn::GetLane(hn::MaxOfLanes(du, state.largest));
  summary.min_magnitude = hn::GetLane(hn::MinOfLanes(du, state.smallest)) + 1;
  summary.min = hn::GetLane(hn::MinOfLanes(d, state.min)) + 0.0f;
  summary.max = hn::GetLane(hn::MaxOfLanes(d, state.max)) + 0.0f;
  return summary.max_magnitude < kInfinity;
}

void summarize(const float* HWY_RESTRICT x, size_t n, uint32_t* keys, BlockSummary& summary) {
  float kept[kBlockValues];
  if (!scan(x, n, keys, summary)) {
    float* end = std::copy_if(x, x + n, kept, [](float v) { return std::isfinite(v); });
    x = kept;
    n = static_cast<size_t>(end - kept);
    scan(x, n, keys, summary);
  }
  summary.sum_levels = summary.square_levels = 0;
  if (summary.nonzero == 0) return;
  // |x| < 2^(high + 1), and its lowest bit is 23 below its highest; the square has twice both exponents.
  const int low = exponent_of(summary.min_magnitude), high = exponent_of(summary.max_magnitude);
  summary.sum_levels = add_split</*kSquares=*/false>(x, n, high + 1, low - 23, summary.sums);
  summary.square_levels =
      add_split</*kSquares=*/true>(x, n, std::clamp(2 * high + 2, -126, 128), 2 * low - 23, summary.squares);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit {
HWY_EXPORT(summarize);

void summarize_block(const float* x, size_t n, uint32_t* keys, BlockSummary& summary) {
  HWY_DYNAMIC_DISPATCH(summarize)(x, n, keys, summary);
}

}  // namespace lowbit
#endif
