// vectors.h: what the shared loops need of AVX-512 (F, BW, VL, DQ): 16 lanes of int32 or float32, 64 bytes.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels::avx512 {
namespace {

struct Vectors {
  using Ints = __m512i;
  using Floats = __m512;
  using Bytes = __m512i;
  static constexpr int kLanes = 16;

  static Ints load_ints(const int32_t* from) { return _mm512_loadu_si512(from); }
  static void store_ints(int32_t* to, Ints x) { _mm512_storeu_si512(to, x); }
  static Floats load_floats(const float* from) { return _mm512_loadu_ps(from); }
  static Floats splat(float x) { return _mm512_set1_ps(x); }
  static Bytes splat_bytes(uint8_t x) { return _mm512_set1_epi8(static_cast<char>(x)); }
  static Ints load_words(const int16_t* from) { return _mm512_loadu_si512(from); }
  static Ints splat_words(int16_t x) { return _mm512_set1_epi16(x); }

  static Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
  static Ints to_ints(Floats x) { return _mm512_cvtps_epi32(x); }
  static Floats add(Floats x, Floats y) { return _mm512_add_ps(x, y); }
  static Floats sub(Floats x, Floats y) { return _mm512_sub_ps(x, y); }
  static Floats mul(Floats x, Floats y) { return _mm512_mul_ps(x, y); }
  static Floats fma(Floats x, Floats y, Floats z) { return _mm512_fmadd_ps(x, y, z); }
  static Floats min(Floats x, Floats y) { return _mm512_min_ps(x, y); }
  static Floats max(Floats x, Floats y) { return _mm512_max_ps(x, y); }
  static Floats round(Floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static Bytes min_bytes(Bytes x, Bytes y) { return _mm512_min_epu8(x, y); }
  static Bytes max_bytes(Bytes x, Bytes y) { return _mm512_max_epu8(x, y); }
  static Bytes flip(Bytes x, Bytes y) { return _mm512_xor_si512(x, y); }

  /// Narrows with saturation, the zero point (16-bit lanes) added between; works inside 128-bit parts.
  static Bytes pack(const Ints* x, Ints zero) {
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(x[0], x[1]), zero);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(x[2], x[3]), zero);
    return _mm512_packus_epi16(low, high);
  }
  /// The opposite, without a zero point.
  static void unpack(Bytes x, Ints* y) {
    const __m512i none = _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(x, none), high = _mm512_unpackhi_epi8(x, none);
    y[0] = _mm512_unpacklo_epi16(low, none);
    y[1] = _mm512_unpackhi_epi16(low, none);
    y[2] = _mm512_unpacklo_epi16(high, none);
    y[3] = _mm512_unpackhi_epi16(high, none);
  }

  /// Packed bytes of 4 / V rows of 16 V channels in lane order <-> rows after each other.
  static __m512i transposed_parts(__m512i x) {
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
  }
  template <int V>
  static __m512i order_rows(__m512i x) {
    if (V == 1) return transposed_parts(x);
    if (V == 2) return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), x);
    return x;
  }
  template <int V>
  static __m512i order_lanes(__m512i x) {
    if (V == 1) return transposed_parts(x);
    if (V == 2) return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), x);
    return x;
  }
  static uint64_t first_bytes(int64_t n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; }

  /// Stores `rows` <= 4 / V rows of n <= 16 V channels.
  template <int V>
  [[gnu::always_inline]] static void store(Bytes x, uint8_t* const* to, int rows, int64_t n) {
    const __m512i y = order_rows<V>(x);
    if (V == 4) {
      store_block(y, to[0], n);
    } else if (V == 2) {
      const __m256i low = _mm512_castsi512_si256(y), high = _mm512_extracti64x4_epi64(y, 1);
      if (n == 32) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to[0]), low);
        if (rows > 1) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to[1]), high);
      } else {
        const auto mask = static_cast<__mmask32>(first_bytes(n));
        _mm256_mask_storeu_epi8(to[0], mask, low);
        if (rows > 1) _mm256_mask_storeu_epi8(to[1], mask, high);
      }
    } else {
      store_four(y, to, rows, n);
    }
  }
  /// One 128-bit part to each address.
  [[gnu::always_inline]] static void store_four(__m512i y, uint8_t* const* to, int rows, int64_t n) {
    const __m128i parts[4] = {_mm512_castsi512_si128(y), _mm512_extracti32x4_epi32(y, 1),
                              _mm512_extracti32x4_epi32(y, 2), _mm512_extracti32x4_epi32(y, 3)};
    const auto mask = static_cast<__mmask16>(first_bytes(n));
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      if (r >= rows) break;
      if (n == 16)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to[r]), parts[r]);
      else
        _mm_mask_storeu_epi8(to[r], mask, parts[r]);
    }
  }
  template <int V>
  [[gnu::always_inline]] static Bytes load(const uint8_t* const* from, int rows) {
    if (V == 4) return load_block(from[0]);
    if (V == 2)
      return order_lanes<V>(
          _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from[0]))),
                             _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from[rows > 1 ? 1 : 0])), 1));
    const uint8_t* four[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) four[r] = from[r < rows ? r : 0];
    return order_lanes<V>(gather_parts(four));
  }

  // 64 channels of one pixel, or 16 of four, one in each 128-bit part.
  static Ints spread_ints(const int32_t* from) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Floats spread_floats(const float* from) { return _mm512_broadcast_f32x4(_mm_loadu_ps(from)); }
  static Bytes load_block(const uint8_t* from) { return _mm512_loadu_si512(from); }
  static Bytes gather_parts(const uint8_t* const* from) {
    const auto part = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[i])); };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(part(0)), part(1), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(part(2)), part(3), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  static Bytes load_parts(const uint8_t* from, int64_t stride, int count) {
    const uint8_t* rows[4];
    for (int i = 0; i < 4; ++i) rows[i] = i < count ? from + i * stride : from;
    return gather_parts(rows);
  }
  [[gnu::always_inline]] static void store_block(Bytes x, uint8_t* to, int64_t n) {
    if (n == 64)
      _mm512_storeu_si512(to, x);
    else
      _mm512_mask_storeu_epi8(to, first_bytes(n), x);
  }
  [[gnu::always_inline]] static void store_parts(Bytes x, uint8_t* to, int64_t stride, int count, int64_t n) {
    uint8_t* const rows[4] = {to, to + stride, to + 2 * stride, to + 3 * stride};
    store_four(x, rows, count, n);
  }
};

}  // namespace
}  // namespace lowbit::kernels::avx512
