// linear.h: the affine number system, the only one whose arithmetic is done on codes: real = scale * (code - zero_point),
// code = clamp(round_half_even(x / scale) + zero_point). Parameters of a group: {scale, zero_point as float}.
//   intN   signed; symmetric (zero_point 0) unless asymmetric is set; narrow leaves out -2^(N-1)
//   uintN  unsigned; asymmetric with a fitted zero point unless asymmetric is cleared (then zero_point 0 for data >= 0, mid-range otherwise)
#pragma once

#include <cstdint>

#include "lowbit/numbers/number_system.h"

namespace lowbit {

struct LinearParams {
  float scale = 1;
  int32_t zero_point = 0;
};

/// True for intN and uintN (not standardized): the systems that integer kernels run.
bool is_linear(const NumberFormat& format);

/// Parameters whose range covers [low, high] widened to contain 0:
///   asymmetric  scale = (high - low) / (qmax - qmin), zero_point = round_half_even(qmin - low / scale) clamped to [qmin, qmax]
///   symmetric   scale = max(|low|, |high|) / qmax
/// high - low is taken in double. A zero range gives {1, 0 (or the fixed zero code)}; a range below the smallest normal gives scale 2^-126.
LinearParams linear_params(const NumberFormat& format, float low, float high);

/// clamp(round_half_even(x / scale) + zero_point, range); NaN gives the zero point.
int32_t linear_encode(float x, LinearParams params, CodeRange range);
inline float linear_decode(int32_t code, LinearParams params) { return static_cast<float>(code - params.zero_point) * params.scale; }

}  // namespace lowbit
