#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "lowbit/kernels/float_math.h"

namespace lowbit::kernels::avx2 {
namespace {

struct F {
  __m256 a, b;
};
using Mask = F;

#define LOWBIT_LANES [[gnu::always_inline]] inline
LOWBIT_LANES F load(const float* x) { return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
LOWBIT_LANES void store(float* y, F v) {
  _mm256_storeu_ps(y, v.a);
  _mm256_storeu_ps(y + 8, v.b);
}
LOWBIT_LANES F splat(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
LOWBIT_LANES F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
LOWBIT_LANES F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
LOWBIT_LANES F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
LOWBIT_LANES F div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
LOWBIT_LANES F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
// x where the comparison fails for a NaN: min(x, y) = x < y ? x : y.
LOWBIT_LANES F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
LOWBIT_LANES F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
LOWBIT_LANES F nearest(F x) {
  constexpr int kEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, kEven), _mm256_round_ps(x.b, kEven)};
}
LOWBIT_LANES F size(F x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
LOWBIT_LANES F with_sign(F x, F from) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(x.a, _mm256_and_ps(sign, from.a)), _mm256_or_ps(x.b, _mm256_and_ps(sign, from.b))};
}
LOWBIT_LANES Mask less(F x, F y) { return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)}; }
LOWBIT_LANES Mask unordered(F x) {
  return {_mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q), _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q)};
}
LOWBIT_LANES F select(Mask m, F x, F y) { return {_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)}; }
LOWBIT_LANES __m256 power8(__m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
LOWBIT_LANES F power(F n) { return {power8(n.a), power8(n.b)}; }
LOWBIT_LANES F root(F x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
LOWBIT_LANES float sum(F x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
LOWBIT_LANES float largest(F x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
#undef LOWBIT_LANES

}  // namespace

#include "lowbit/kernels/float_math_lanes.h"

const FloatMathKernels float_math_kernels = kFloatMath;

}  // namespace lowbit::kernels::avx2
