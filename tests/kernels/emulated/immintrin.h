// In place of the compiler's header: the AVX-512 instructions that the kernels use, each as two AVX2 instructions on
// the halves or as a plain loop. With it the kernels for processors with AVX-512 are tested on those without. The types
// are the compiler's.
#pragma once

#include_next <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace lowbit_emulated {

struct Halves {
  __m256i low, high;
};
template <typename V>
inline Halves split(const V& x) {
  Halves halves;
  memcpy(&halves, &x, sizeof(halves));
  return halves;
}
template <typename V>
inline V join(__m256i low, __m256i high) {
  const Halves halves = {low, high};
  V x;
  memcpy(&x, &halves, sizeof(x));
  return x;
}

#define LOWBIT_INTS_2(name)                                                           \
  inline __m512i mm512_##name(__m512i x, __m512i y) {                                 \
    const Halves a = split(x), b = split(y);                                          \
    return join<__m512i>(_mm256_##name(a.low, b.low), _mm256_##name(a.high, b.high)); \
  }
LOWBIT_INTS_2(add_epi32)
LOWBIT_INTS_2(add_epi64)
LOWBIT_INTS_2(add_epi8)
LOWBIT_INTS_2(mullo_epi32)
LOWBIT_INTS_2(sad_epu8)
LOWBIT_INTS_2(shuffle_epi8)
LOWBIT_INTS_2(sub_epi32)
LOWBIT_INTS_2(adds_epi16)
LOWBIT_INTS_2(madd_epi16)
LOWBIT_INTS_2(max_epu8)
LOWBIT_INTS_2(min_epu8)
LOWBIT_INTS_2(packs_epi32)
LOWBIT_INTS_2(packus_epi16)
LOWBIT_INTS_2(unpackhi_epi16)
LOWBIT_INTS_2(unpackhi_epi8)
LOWBIT_INTS_2(unpacklo_epi16)
LOWBIT_INTS_2(unpacklo_epi8)

inline __m512 both(__m256 low, __m256 high) {
  return join<__m512>(_mm256_castps_si256(low), _mm256_castps_si256(high));
}
inline __m256 low_of(__m512 x) { return _mm256_castsi256_ps(split(x).low); }
inline __m256 high_of(__m512 x) { return _mm256_castsi256_ps(split(x).high); }

#define LOWBIT_FLOATS_2(name)                                                                \
  inline __m512 mm512_##name(__m512 x, __m512 y) {                                           \
    return both(_mm256_##name(low_of(x), low_of(y)), _mm256_##name(high_of(x), high_of(y))); \
  }
LOWBIT_FLOATS_2(add_ps)
LOWBIT_FLOATS_2(sub_ps)
LOWBIT_FLOATS_2(mul_ps)
LOWBIT_FLOATS_2(div_ps)
LOWBIT_FLOATS_2(min_ps)
LOWBIT_FLOATS_2(max_ps)

inline __m512 mm512_fmadd_ps(__m512 x, __m512 y, __m512 z) {
  return both(_mm256_fmadd_ps(low_of(x), low_of(y), low_of(z)), _mm256_fmadd_ps(high_of(x), high_of(y), high_of(z)));
}
inline __m512 mm512_round(__m512 x) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return both(_mm256_round_ps(low_of(x), kMode), _mm256_round_ps(high_of(x), kMode));
}
inline __m512 mm512_cvtepi32_ps(__m512i x) {
  return both(_mm256_cvtepi32_ps(split(x).low), _mm256_cvtepi32_ps(split(x).high));
}
inline __m512i mm512_cvtps_epi32(__m512 x) {
  return join<__m512i>(_mm256_cvtps_epi32(low_of(x)), _mm256_cvtps_epi32(high_of(x)));
}
/// Shifts by a number of bits, of 16- or 32-bit lanes.
inline __m512i mm512_srli_epi16(__m512i x, int n) {
  return join<__m512i>(_mm256_srli_epi16(split(x).low, n), _mm256_srli_epi16(split(x).high, n));
}
inline __m512i mm512_slli_epi16(__m512i x, int n) {
  return join<__m512i>(_mm256_slli_epi16(split(x).low, n), _mm256_slli_epi16(split(x).high, n));
}
inline __m512i mm512_slli_epi32(__m512i x, int n) {
  return join<__m512i>(_mm256_slli_epi32(split(x).low, n), _mm256_slli_epi32(split(x).high, n));
}
inline __m512i mm512_cvtepu8_epi32(__m128i x) {
  return join<__m512i>(_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_srli_si128(x, 8)));
}
inline __m512i mm512_cvtepu16_epi32(__m256i x) {
  return join<__m512i>(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(x)),
                       _mm256_cvtepu16_epi32(_mm256_extracti128_si256(x, 1)));
}
inline __m256i mm512_cvtepi64_epi32(__m512i x) {
  const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  return _mm256_permute2x128_si256(_mm256_permutevar8x32_epi32(split(x).low, even),
                                   _mm256_permutevar8x32_epi32(split(x).high, even), 0x20);
}
inline __m512 mm512_sqrt_ps(__m512 x) { return both(_mm256_sqrt_ps(low_of(x)), _mm256_sqrt_ps(high_of(x))); }
template <int kComparison>
inline uint16_t mm512_cmp_ps_mask(__m512 x, __m512 y) {
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(low_of(x), low_of(y), kComparison));
  return static_cast<uint16_t>(low | _mm256_movemask_ps(_mm256_cmp_ps(high_of(x), high_of(y), kComparison)) << 8);
}
inline __m512 mm512_mask_blend_ps(uint16_t mask, __m512 x, __m512 y) {
  float a[16], b[16];
  memcpy(a, &x, 64), memcpy(b, &y, 64);
  for (int i = 0; i < 16; ++i) a[i] = mask >> i & 1 ? b[i] : a[i];
  memcpy(&x, a, 64);
  return x;
}
inline __m512i mm512_cvtepi8_epi16(__m256i x) {
  return join<__m512i>(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(x)),
                       _mm256_cvtepi8_epi16(_mm256_extracti128_si256(x, 1)));
}
/// vpdpbusd by its definition: unsigned bytes of x times signed bytes of y, sums of four, wrapping.
inline __m512i mm512_dpbusd_epi32(__m512i sum, __m512i x, __m512i y) {
  uint32_t sums[16];
  uint8_t a[64];
  int8_t b[64];
  memcpy(sums, &sum, 64), memcpy(a, &x, 64), memcpy(b, &y, 64);
  for (int i = 0; i < 64; ++i) sums[i / 4] += static_cast<uint32_t>(a[i] * b[i]);
  memcpy(&sum, sums, 64);
  return sum;
}

template <typename T>
inline __m512i permuted(const __m512i& index, const __m512i& x) {
  T from[64 / sizeof(T)], to[64 / sizeof(T)], which[64 / sizeof(T)];
  memcpy(from, &x, 64), memcpy(which, &index, 64);
  for (size_t i = 0; i < 64 / sizeof(T); ++i) to[i] = from[which[i] % (64 / sizeof(T))];
  __m512i y;
  memcpy(&y, to, 64);
  return y;
}
inline void store_some(void* to, uint64_t mask, const void* bytes, int n) {
  for (int i = 0; i < n; ++i)
    if (mask >> i & 1) static_cast<uint8_t*>(to)[i] = static_cast<const uint8_t*>(bytes)[i];
}
inline void mm512_mask_storeu_epi8(void* to, uint64_t mask, __m512i x) { store_some(to, mask, &x, 64); }
inline void mm512_mask_storeu_ps(float* to, uint16_t mask, __m512 x) {
  float lanes[16];
  memcpy(lanes, &x, 64);
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) to[i] = lanes[i];
}
inline __m512 mm512_maskz_loadu_ps(uint16_t mask, const float* from) {
  float lanes[16] = {};
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) lanes[i] = from[i];
  __m512 x;
  memcpy(&x, lanes, 64);
  return x;
}
inline void mm256_mask_storeu_epi8(void* to, uint32_t mask, __m256i x) { store_some(to, mask, &x, 32); }
inline void mm_mask_storeu_epi8(void* to, uint16_t mask, __m128i x) { store_some(to, mask, &x, 16); }

template <typename V>
inline V loaded(const void* from) {
  V x;
  memcpy(&x, from, sizeof(x));
  return x;
}
inline __m512i broadcast_part(__m128i x) {
  return join<__m512i>(_mm256_broadcastsi128_si256(x), _mm256_broadcastsi128_si256(x));
}
inline __m128i part(const __m512i& x, int i) {
  __m128i parts[4];
  memcpy(parts, &x, 64);
  return parts[i];
}
inline __m512i twice(__m256i x) { return join<__m512i>(x, x); }
inline __m512i four_by_two(int a, int b, int c, int d, int e, int f, int g, int h) {
  const int64_t x[8] = {a, b, c, d, e, f, g, h};
  return loaded<__m512i>(x);
}
template <typename... T>
inline __m512i sixteen(T... values) {
  const int32_t x[16] = {values...};
  return loaded<__m512i>(x);
}

}  // namespace lowbit_emulated

#define _mm512_add_epi32 lowbit_emulated::mm512_add_epi32
#define _mm512_adds_epi16 lowbit_emulated::mm512_adds_epi16
#define _mm512_madd_epi16 lowbit_emulated::mm512_madd_epi16
#define _mm512_max_epu8 lowbit_emulated::mm512_max_epu8
#define _mm512_min_epu8 lowbit_emulated::mm512_min_epu8
#define _mm512_packs_epi32 lowbit_emulated::mm512_packs_epi32
#define _mm512_packus_epi16 lowbit_emulated::mm512_packus_epi16
#define _mm512_unpackhi_epi16 lowbit_emulated::mm512_unpackhi_epi16
#define _mm512_unpackhi_epi8 lowbit_emulated::mm512_unpackhi_epi8
#define _mm512_unpacklo_epi16 lowbit_emulated::mm512_unpacklo_epi16
#define _mm512_unpacklo_epi8 lowbit_emulated::mm512_unpacklo_epi8
#define _mm512_xor_si512(x, y) ((x) ^ (y))
#define _mm512_add_ps lowbit_emulated::mm512_add_ps
#define _mm512_sub_ps lowbit_emulated::mm512_sub_ps
#define _mm512_mul_ps lowbit_emulated::mm512_mul_ps
#define _mm512_div_ps lowbit_emulated::mm512_div_ps
#define _mm512_min_ps lowbit_emulated::mm512_min_ps
#define _mm512_max_ps lowbit_emulated::mm512_max_ps
#define _mm512_fmadd_ps lowbit_emulated::mm512_fmadd_ps
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps(x, mode) lowbit_emulated::mm512_round(x)
#define _mm512_cvtepi32_ps lowbit_emulated::mm512_cvtepi32_ps
#define _mm512_cvtps_epi32 lowbit_emulated::mm512_cvtps_epi32
#define _mm512_cvtepi8_epi16 lowbit_emulated::mm512_cvtepi8_epi16
#define _mm512_dpbusd_epi32 lowbit_emulated::mm512_dpbusd_epi32
#define _mm512_permutexvar_epi32 lowbit_emulated::permuted<uint32_t>
#define _mm512_permutexvar_epi64 lowbit_emulated::permuted<uint64_t>
#define _mm512_mask_storeu_epi8 lowbit_emulated::mm512_mask_storeu_epi8
#define _mm512_mask_storeu_ps lowbit_emulated::mm512_mask_storeu_ps
#define _mm512_maskz_loadu_ps lowbit_emulated::mm512_maskz_loadu_ps
#define _mm256_mask_storeu_epi8 lowbit_emulated::mm256_mask_storeu_epi8
#define _mm_mask_storeu_epi8 lowbit_emulated::mm_mask_storeu_epi8
#define _mm512_loadu_si512 lowbit_emulated::loaded<__m512i>
#define _mm512_loadu_ps lowbit_emulated::loaded<__m512>
#define _mm512_storeu_si512(to, x) lowbit_emulated::mm512_mask_storeu_epi8(to, ~uint64_t{0}, x)
#define _mm512_set1_epi8(x) lowbit_emulated::twice(_mm256_set1_epi8(x))
#define _mm512_set1_epi16(x) lowbit_emulated::twice(_mm256_set1_epi16(x))
#define _mm512_set1_epi32(x) lowbit_emulated::twice(_mm256_set1_epi32(x))
#define _mm512_setzero_si512() lowbit_emulated::twice(_mm256_setzero_si256())
#define _mm512_set1_ps(x) lowbit_emulated::both(_mm256_set1_ps(x), _mm256_set1_ps(x))
#undef _mm512_setr_epi32
#undef _mm512_setr_epi64
#define _mm512_setr_epi32 lowbit_emulated::sixteen
#define _mm512_setr_epi64 lowbit_emulated::four_by_two
#define _mm512_castsi512_si256(x) lowbit_emulated::split(x).low
#define _mm512_castsi256_si512(x) lowbit_emulated::twice(x)
#define _mm512_castsi512_si128(x) lowbit_emulated::part(x, 0)
#undef _mm512_extracti64x4_epi64
#undef _mm512_extracti32x4_epi32
#undef _mm512_inserti64x4
#define _mm512_extracti64x4_epi64(x, i) ((i) ? lowbit_emulated::split(x).high : lowbit_emulated::split(x).low)
#define _mm512_extracti32x4_epi32(x, i) lowbit_emulated::part(x, i)
#define _mm512_inserti64x4(x, y, i) lowbit_emulated::join<__m512i>(lowbit_emulated::split(x).low, y)
#define _mm512_broadcast_i32x4(x) lowbit_emulated::broadcast_part(x)
#define _mm512_broadcast_f32x4(x) __m512(lowbit_emulated::broadcast_part(_mm_castps_si128(x)))
#define _mm512_add_epi64 lowbit_emulated::mm512_add_epi64
#define _mm512_add_epi8 lowbit_emulated::mm512_add_epi8
#define _mm512_mullo_epi32 lowbit_emulated::mm512_mullo_epi32
#define _mm512_sad_epu8 lowbit_emulated::mm512_sad_epu8
#define _mm512_shuffle_epi8 lowbit_emulated::mm512_shuffle_epi8
#define _mm512_sub_epi32 lowbit_emulated::mm512_sub_epi32
#undef _mm512_srli_epi16
#undef _mm512_slli_epi16
#undef _mm512_slli_epi32
#define _mm512_srli_epi16(x, n) lowbit_emulated::mm512_srli_epi16(x, static_cast<int>(n))
#define _mm512_slli_epi16(x, n) lowbit_emulated::mm512_slli_epi16(x, static_cast<int>(n))
#define _mm512_slli_epi32(x, n) lowbit_emulated::mm512_slli_epi32(x, static_cast<int>(n))
#define _mm512_and_si512(x, y) ((x) & (y))
#define _mm512_or_si512(x, y) ((x) | (y))
#define _mm512_cvtepu8_epi32 lowbit_emulated::mm512_cvtepu8_epi32
#define _mm512_cvtepu16_epi32 lowbit_emulated::mm512_cvtepu16_epi32
#define _mm512_cvtepi64_epi32 lowbit_emulated::mm512_cvtepi64_epi32
#define _mm512_sqrt_ps lowbit_emulated::mm512_sqrt_ps
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask(x, y, comparison) lowbit_emulated::mm512_cmp_ps_mask<comparison>(x, y)
#define _mm512_mask_blend_ps lowbit_emulated::mm512_mask_blend_ps
#define _mm512_setzero_ps() lowbit_emulated::both(_mm256_setzero_ps(), _mm256_setzero_ps())
#define _mm512_set1_epi64(x) lowbit_emulated::twice(_mm256_set1_epi64x(x))
#define _mm512_storeu_ps(to, x) _mm512_storeu_si512(to, __m512i(x))
#define _mm512_castps_si512(x) __m512i(x)
#define _mm512_castsi512_ps(x) __m512(x)
#define _mm512_castps_pd(x) (x)
#define _mm512_castps256_ps512(x) lowbit_emulated::both(x, x)
#define _mm512_castps512_ps256(x) lowbit_emulated::low_of(x)
#undef _mm512_insertf32x8
#undef _mm512_extractf64x4_pd
#define _mm512_insertf32x8(x, y, i) lowbit_emulated::both(lowbit_emulated::low_of(x), y)
#define _mm512_extractf64x4_pd(x, i) _mm256_castps_pd(lowbit_emulated::high_of(x))
