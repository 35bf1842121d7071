// requantize.h: the one rounding of integer results (docs/integer-semantics.md): q = clamp(rne(acc * m) + z), acc * m
// exact.
#pragma once

#include <algorithm>
#include <cstdint>

namespace lowbit {

/// Where a result goes: zero point and the limits of its codes (already narrowed by a fused activation).
struct OutputCodes {
  int32_t zero_point = 0, low = 0, high = 0;
};

/// Nearest integer, ties to even, of |x| < 2^51, without a library call so that loops over it vectorise. Needs the
/// default rounding mode.
inline double round_half_even(double x) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: the sum has no fraction bits left
  return (x + kShift) - kShift;
}

/// clamp(rne(x) + zero_point) for a real number x given as a double. Clamping first is the same, as the limits are
/// integers, and keeps x small.
inline int32_t to_code(double x, OutputCodes out) {
  const double low = out.low - out.zero_point, high = out.high - out.zero_point;
  return static_cast<int32_t>(round_half_even(std::min(std::max(x, low), high))) + out.zero_point;
}

/// Accumulators at or beyond this take the slow exact path: below it, the product with a float32 is exact in double.
inline constexpr int64_t kExactAccumulator = int64_t{1} << 29;

/// clamp(rne(acc * m) + z) in 128-bit integers, for any accumulator; m finite and >= 0.
int32_t requantize_exact(int64_t acc, float m, OutputCodes out);

inline int32_t requantize(int64_t acc, float m, OutputCodes out) {
  if (acc > -kExactAccumulator && acc < kExactAccumulator)
    return to_code(static_cast<double>(acc) * static_cast<double>(m), out);
  return requantize_exact(acc, m, out);
}

/// Accumulators of a layer: clamp(rne(fl32(acc) * m) + z) in float32 arithmetic, as integer engines do it, so that
/// their results agree bit for bit.
void requantize_row(const int32_t* acc, const float* m, int64_t n, OutputCodes out, int32_t* codes);
void requantize_row(const int64_t* acc, const float* m, int64_t n, OutputCodes out, int32_t* codes);

/// Number of the n codes' unclamped values that lay outside [qmin, qmax].
int64_t count_clipped(const int32_t* acc, const float* m, int64_t n, int32_t zero_point, int32_t qmin, int32_t qmax);

}  // namespace lowbit
