#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "lowbit/kernels/float_math.h"

namespace lowbit::kernels::avx512 {
namespace {

using F = __m512;
using Mask = __mmask16;

#define LOWBIT_LANES [[gnu::always_inline]] inline
LOWBIT_LANES F load(const float* x) { return _mm512_loadu_ps(x); }
LOWBIT_LANES void store(float* y, F v) { _mm512_storeu_ps(y, v); }
LOWBIT_LANES F splat(float v) { return _mm512_set1_ps(v); }
LOWBIT_LANES F add(F x, F y) { return _mm512_add_ps(x, y); }
LOWBIT_LANES F sub(F x, F y) { return _mm512_sub_ps(x, y); }
LOWBIT_LANES F mul(F x, F y) { return _mm512_mul_ps(x, y); }
LOWBIT_LANES F div(F x, F y) { return _mm512_div_ps(x, y); }
LOWBIT_LANES F fma(F x, F y, F z) { return _mm512_fmadd_ps(x, y, z); }
// The second operand where the comparison fails for a NaN: min(x, y) = x < y ? x : y.
LOWBIT_LANES F min(F x, F y) { return _mm512_min_ps(x, y); }
LOWBIT_LANES F max(F x, F y) { return _mm512_max_ps(x, y); }
LOWBIT_LANES F nearest(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
LOWBIT_LANES __m512i bits_of(F x) { return _mm512_castps_si512(x); }
LOWBIT_LANES F of_bits(__m512i x) { return _mm512_castsi512_ps(x); }
LOWBIT_LANES F size(F x) { return of_bits(_mm512_and_si512(bits_of(x), _mm512_set1_epi32(0x7fffffff))); }
LOWBIT_LANES F with_sign(F x, F from) {
  const __m512i sign = _mm512_and_si512(bits_of(from), _mm512_set1_epi32(static_cast<int32_t>(0x80000000u)));
  return of_bits(_mm512_or_si512(bits_of(x), sign));
}
LOWBIT_LANES Mask less(F x, F y) { return _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ); }
LOWBIT_LANES Mask unordered(F x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q); }
LOWBIT_LANES F select(Mask m, F x, F y) { return _mm512_mask_blend_ps(m, y, x); }
LOWBIT_LANES F power(F n) {
  return of_bits(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}
LOWBIT_LANES F root(F x) { return _mm512_sqrt_ps(x); }
LOWBIT_LANES __m256 upper(F x) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)); }
LOWBIT_LANES float sum(F x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), upper(x));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
LOWBIT_LANES float largest(F x) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), upper(x));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
#undef LOWBIT_LANES

}  // namespace

#include "lowbit/kernels/float_math_lanes.h"

const FloatMathKernels float_math_kernels = kFloatMath;

}  // namespace lowbit::kernels::avx512
