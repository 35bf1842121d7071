// vectors.h: what the shared loops need of AVX2: eight lanes of int32 or float32, 32 bytes.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels::avx2 {
namespace {

struct Vectors {
  using Ints = __m256i;
  using Floats = __m256;
  using Bytes = __m256i;
  static constexpr int kLanes = 8;

  static Ints load_ints(const int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static void store_ints(int32_t* to, Ints x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }
  static Floats load_floats(const float* from) { return _mm256_loadu_ps(from); }
  static Floats splat(float x) { return _mm256_set1_ps(x); }
  static Bytes splat_bytes(uint8_t x) { return _mm256_set1_epi8(static_cast<char>(x)); }
  static Ints load_words(const int16_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static Ints splat_words(int16_t x) { return _mm256_set1_epi16(x); }

  static Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
  static Ints to_ints(Floats x) { return _mm256_cvtps_epi32(x); }
  static Floats add(Floats x, Floats y) { return _mm256_add_ps(x, y); }
  static Floats sub(Floats x, Floats y) { return _mm256_sub_ps(x, y); }
  static Floats mul(Floats x, Floats y) { return _mm256_mul_ps(x, y); }
  static Floats fma(Floats x, Floats y, Floats z) { return _mm256_fmadd_ps(x, y, z); }
  static Floats min(Floats x, Floats y) { return _mm256_min_ps(x, y); }
  static Floats max(Floats x, Floats y) { return _mm256_max_ps(x, y); }
  static Floats round(Floats x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static Bytes min_bytes(Bytes x, Bytes y) { return _mm256_min_epu8(x, y); }
  static Bytes max_bytes(Bytes x, Bytes y) { return _mm256_max_epu8(x, y); }
  static Bytes flip(Bytes x, Bytes y) { return _mm256_xor_si256(x, y); }

  /// Narrows with saturation, the zero point (16-bit lanes) added between; works inside 128-bit parts.
  static Bytes pack(const Ints* x, Ints zero) {
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(x[0], x[1]), zero);
    const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(x[2], x[3]), zero);
    return _mm256_packus_epi16(low, high);
  }
  /// The opposite, without a zero point.
  static void unpack(Bytes x, Ints* y) {
    const __m256i none = _mm256_setzero_si256();
    const __m256i low = _mm256_unpacklo_epi8(x, none), high = _mm256_unpackhi_epi8(x, none);
    y[0] = _mm256_unpacklo_epi16(low, none);
    y[1] = _mm256_unpackhi_epi16(low, none);
    y[2] = _mm256_unpacklo_epi16(high, none);
    y[3] = _mm256_unpackhi_epi16(high, none);
  }

  /// Packed bytes of 4 / V rows of 8 V channels in lane order <-> rows after each other.
  template <int V>
  static __m256i order_rows(__m256i x) {
    if (V == 1) return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return _mm256_permute4x64_epi64(x, 0xD8);
  }
  template <int V>
  static __m256i order_lanes(__m256i x) {
    if (V == 1) return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    return _mm256_permute4x64_epi64(x, 0xD8);
  }

  /// Stores `rows` <= 4 / V rows of n <= 8 V channels.
  template <int V>
  [[gnu::always_inline]] static void store(Bytes x, uint8_t* const* to, int rows, int64_t n) {
    const __m256i y = order_rows<V>(x);
    if (n == V * kLanes) {
      const __m128i low = _mm256_castsi256_si128(y), high = _mm256_extracti128_si256(y, 1);
      if (V == 2) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to[0]), low);
        if (rows > 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(to[1]), high);
      } else {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to[0]), low);
        if (rows > 1) _mm_storeh_pd(reinterpret_cast<double*>(to[1]), _mm_castsi128_pd(low));
        if (rows > 2) _mm_storel_epi64(reinterpret_cast<__m128i*>(to[2]), high);
        if (rows > 3) _mm_storeh_pd(reinterpret_cast<double*>(to[3]), _mm_castsi128_pd(high));
      }
      return;
    }
    alignas(32) uint8_t bytes[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), y);
    for (int r = 0; r < rows; ++r)
      for (int64_t i = 0; i < n; ++i) to[r][i] = bytes[r * V * kLanes + i];
  }
  template <int V>
  [[gnu::always_inline]] static Bytes load(const uint8_t* const* from, int rows) {
    const auto row = [&](int r) { return from[r < rows ? r : 0]; };
    if (V == 2) {
      const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row(0)));
      return order_lanes<V>(_mm256_inserti128_si256(_mm256_castsi128_si256(low),
                                                    _mm_loadu_si128(reinterpret_cast<const __m128i*>(row(1))), 1));
    }
    const auto pair = [&](int r) {
      return _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row(r)))),
                                           reinterpret_cast<const double*>(row(r + 1))));
    };
    return order_lanes<V>(_mm256_inserti128_si256(_mm256_castsi128_si256(pair(0)), pair(2), 1));
  }

  // 32 channels of one pixel, or 16 of two, one in each 128-bit part.
  static Ints spread_ints(const int32_t* from) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Floats spread_floats(const float* from) { return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(from)); }
  static Bytes load_block(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static Bytes gather_parts(const uint8_t* const* from) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from[0]))),
                                   _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[1])), 1);
  }
  static Bytes load_parts(const uint8_t* from, int64_t stride, int count) {
    const uint8_t* rows[2] = {from, count > 1 ? from + stride : from};
    return gather_parts(rows);
  }
  [[gnu::always_inline]] static void store_block(Bytes x, uint8_t* to, int64_t n) {
    if (n == 4 * kLanes) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x);
      return;
    }
    alignas(32) uint8_t bytes[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), x);
    for (int64_t i = 0; i < n; ++i) to[i] = bytes[i];
  }
  [[gnu::always_inline]] static void store_parts(Bytes x, uint8_t* to, int64_t stride, int count, int64_t n) {
    const __m128i low = _mm256_castsi256_si128(x), high = _mm256_extracti128_si256(x, 1);
    if (n == 16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), low);
      if (count > 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + stride), high);
      return;
    }
    if (n == 8) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to), low);
      if (count > 1) _mm_storel_epi64(reinterpret_cast<__m128i*>(to + stride), high);
      return;
    }
    alignas(32) uint8_t bytes[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), x);
    for (int r = 0; r < count; ++r)
      for (int64_t i = 0; i < n; ++i) to[r * stride + i] = bytes[r * 16 + i];
  }
};

}  // namespace
}  // namespace lowbit::kernels::avx2
