#include "lowbit/observe/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/observe/block_summary.h"
#include "lowbit/observe/float_mode.h"

namespace lowbit {
namespace {

constexpr int kLimbBits = 64;
constexpr int kUnitExponent = -149;  // a limb array counts in units of 2^-149

/// limbs += low + high * 2^64, placed at limb `at`.
void add_at(ExactSum::Limbs& limbs, int at, unsigned __int128 amount) {
  unsigned __int128 carry = amount;
  for (int i = at; i < ExactSum::kLimbs && carry != 0; ++i) {
    const unsigned __int128 low = static_cast<uint64_t>(carry);
    const unsigned __int128 sum = low + limbs[static_cast<size_t>(i)];
    limbs[static_cast<size_t>(i)] = static_cast<uint64_t>(sum);
    carry = (carry >> kLimbBits) + (sum >> kLimbBits);
  }
}

ExactSum::Limbs negated(ExactSum::Limbs limbs) {
  for (uint64_t& limb : limbs) limb = ~limb;
  add_at(limbs, 0, 1);
  return limbs;
}

}  // namespace

void ExactSum::add(std::span<const float> x) {
  const FloatMode mode;
  for (size_t begin = 0; begin < x.size(); begin += kBlockValues) {
    const size_t n = std::min(kBlockValues, x.size() - begin);
    BlockSummary summary;
    summarize_block(x.data() + begin, n, nullptr, summary);
    if (summary.finite != n)
      throw Error(ErrorCode::bad_argument, "an exact sum takes finite values only; remove NaN and infinity first");
    for (int level = 0; level < summary.sum_levels; ++level) add_exact(summary.sums[level]);
  }
}

void ExactSum::add_exact(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  const int biased = static_cast<int>(bits >> 52 & 0x7ff);
  // Doubles below 2^-1022 are no multiples of 2^-149, so only zero has no implicit bit here.
  if (biased == 0) return;
  uint64_t mantissa = (bits & 0xfffffffffffffu) | 0x10000000000000u;
  int shift = biased - 1075 - kUnitExponent;
  if (shift < 0) {
    mantissa >>= -shift;
    shift = 0;
  }
  const auto amount = static_cast<unsigned __int128>(mantissa) << (shift % kLimbBits);
  if (x > 0) {
    add_at(limbs_, shift / kLimbBits, amount);
  } else {
    Limbs negative{};
    add_at(negative, shift / kLimbBits, amount);
    merge(ExactSum(negated(negative)));
  }
}

void ExactSum::merge(const ExactSum& other) {
  unsigned __int128 carry = 0;
  for (size_t i = 0; i < kLimbs; ++i) {
    carry += static_cast<unsigned __int128>(limbs_[i]) + other.limbs_[i];
    limbs_[i] = static_cast<uint64_t>(carry);
    carry >>= kLimbBits;
  }
}

double ExactSum::value() const {
  const bool negative = limbs_[kLimbs - 1] >> (kLimbBits - 1) != 0;
  const Limbs magnitude = negative ? negated(limbs_) : limbs_;
  int top = kLimbs - 1;
  while (top > 0 && magnitude[static_cast<size_t>(top)] == 0) --top;
  uint64_t lead = magnitude[static_cast<size_t>(top)];
  if (lead == 0) return 0;
  // `lead` becomes the 64 highest bits; everything below only matters as "there is more" in its lowest bit.
  const int gap = std::countl_zero(lead);
  bool more = false;
  if (top > 0) {
    const uint64_t next = magnitude[static_cast<size_t>(top) - 1];
    if (gap > 0) lead = lead << gap | next >> (kLimbBits - gap);
    more = (next << gap) != 0;
    for (int i = 0; i < top - 1; ++i) more |= magnitude[static_cast<size_t>(i)] != 0;
  } else {
    lead <<= gap;
  }
  lead |= more ? 1 : 0;
  const double rounded = std::ldexp(static_cast<double>(lead), top * kLimbBits - gap + kUnitExponent);
  return negative ? -rounded : rounded;
}

}  // namespace lowbit
