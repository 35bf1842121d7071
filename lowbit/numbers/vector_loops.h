// vector_loops.h: the element-wise loops of the number systems, written once with Highway and compiled for every
// instruction set. Every target gives the same bits as the scalar definition: true division, rounding half to even, no
// fused multiply-add.
#pragma once

#include <cstdint>

#include "lowbit/numbers/linear.h"

namespace lowbit {

/// codes[i] = linear_encode(x[i], params, range). Needs |zero_point| and the range within +-2^20 (kLinearLoopLimit).
inline constexpr int32_t kLinearLoopLimit = 1 << 20;
void linear_encode_loop(LinearParams params, CodeRange range, const float* x, int64_t n, int32_t* codes);

/// y[i] = linear_decode(codes[i], params).
void linear_decode_loop(LinearParams params, const int32_t* codes, int64_t n, float* y);

/// y[i] = x[i] / divisor.
void divide_loop(const float* x, float divisor, int64_t n, float* y);

/// Codes of a small float: sign, exponent and mantissa as one number, exponent 0 for multiples of the smallest step.
struct SmallFloatShape {
  int mantissa_bits;           ///< 1 to 3 and more
  int lowest_exponent;         ///< of the smallest normal value, 2^lowest_exponent
  int sign_shift;              ///< where the sign bit is
  float largest;               ///< finite value
  bool negative_zero = false;  ///< what rounds to 0 from below keeps its sign
};
/// codes[i] = the small float nearest to float32(x[i] / scale), ties to the even pattern, beyond `largest` saturating;
/// 0 for NaN and, unless there is a negative zero, for what rounds to 0 from either side.
void small_float_encode_loop(const SmallFloatShape& shape, float scale, const float* x, int64_t n, int32_t* codes);

/// codes[i] = the bfloat16 nearest to x[i], ties to even, beyond its largest finite value saturating; 0 for NaN.
void bfloat16_encode_loop(const float* x, int64_t n, int32_t* codes);

/// y[i] = the value of the IEEE half with the bit pattern of the low 16 bits of codes[i].
void float16_decode_loop(const int32_t* codes, int64_t n, float* y);

/// index[i] = the number of thresholds below x[i] (thresholds ascending, `count` = 2^k of them, padded with +infinity);
/// NaN counts as 0. codes[i] = code_of[index[i]].
///   code_of  count entries
void threshold_encode_loop(const float* thresholds, int64_t count, const int32_t* code_of, const float* x, int64_t n,
                           int32_t* codes);

/// y[i] = values[min(max(codes[i] - first, 0), count - 1)].
void lookup_decode_loop(const float* values, int32_t first, int64_t count, const int32_t* codes, int64_t n, float* y);

}  // namespace lowbit
