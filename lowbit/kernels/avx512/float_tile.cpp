// Fourteen rows of sixteen columns: one register of sums each, the weights of a step in one more.
#include "lowbit/kernels/float_tile.h"

#include <immintrin.h>

namespace lowbit::kernels::avx512 {
namespace {

constexpr int kRows = 14;

template <FloatStorage kStorage>
struct Weights;
template <>
struct Weights<FloatStorage::f32> {
  using Element = float;
  [[gnu::always_inline]] static __m512 sixteen(const float* w) { return _mm512_loadu_ps(w); }
};
template <>
struct Weights<FloatStorage::f16> {
  using Element = uint16_t;
  [[gnu::always_inline]] static __m512 sixteen(const uint16_t* w) {
    const auto* half = reinterpret_cast<const __m128i*>(w);
    const __m512 low = _mm512_castps256_ps512(_mm256_cvtph_ps(_mm_loadu_si128(half)));
    return _mm512_insertf32x8(low, _mm256_cvtph_ps(_mm_loadu_si128(half + 1)), 1);
  }
};
template <>
struct Weights<FloatStorage::bf16> {
  using Element = uint16_t;
  [[gnu::always_inline]] static __m512 sixteen(const uint16_t* w) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
};

// NaN passes through: min and max return their second operand when a comparison fails.
[[gnu::always_inline]] inline __m512 clamp(__m512 v, __m512 low, __m512 high) {
  return _mm512_min_ps(high, _mm512_max_ps(low, v));
}

[[gnu::always_inline]] inline __mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffff : (1u << n) - 1);
}
[[gnu::always_inline]] inline __m512 load_part(const float* p, int64_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
[[gnu::always_inline]] inline void store_part(float* p, int64_t n, __m512 v) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

/// The rows [first, first + M) of the m rows of a tile.
template <FloatStorage kStorage, int M>
void tile_rows(const FloatTile& tile, int first, int m) {
  using Storage = Weights<kStorage>;
  float* const c = tile.c + first * tile.c_stride;
  __m512 sums[M];
#pragma GCC unroll 14
  for (int i = 0; i < M; ++i) {
    const float* from = tile.first ? tile.bias : c + i * tile.c_stride;
    sums[i] = from ? load_part(from, tile.columns) : _mm512_setzero_ps();
  }
  const auto* weights = static_cast<const typename Storage::Element*>(tile.weights);
  const float* const* rows = tile.rows + first;
  for (int64_t tap = 0; tap < tile.taps; ++tap, weights += tile.tap_stride, rows += m) {
    const auto* w = weights;
    for (int64_t k = 0; k < tile.k; ++k, w += kFloatColumns) {
      const __m512 column = Storage::sixteen(w);
#pragma GCC unroll 14
      for (int i = 0; i < M; ++i) sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(rows[i][k]), column, sums[i]);
    }
  }
  const __m512 low = _mm512_set1_ps(tile.low), high = _mm512_set1_ps(tile.high);
#pragma GCC unroll 14
  for (int i = 0; i < M; ++i)
    store_part(c + i * tile.c_stride, tile.columns, tile.last ? clamp(sums[i], low, high) : sums[i]);
}

/// Whole tiles, then smaller ones for the rows that are left: few sizes keep the library small.
template <FloatStorage kStorage>
void any_rows(const FloatTile& tile, int m) noexcept {
  int i = 0;
  for (; m - i >= 14; i += 14) tile_rows<kStorage, 14>(tile, i, m);
  for (; m - i >= 7; i += 7) tile_rows<kStorage, 7>(tile, i, m);
  for (; m - i >= 4; i += 4) tile_rows<kStorage, 4>(tile, i, m);
  for (; m - i >= 2; i += 2) tile_rows<kStorage, 2>(tile, i, m);
  if (i < m) tile_rows<kStorage, 1>(tile, i, m);
}

template <int V>
void depthwise_vectors(const FloatDepthwise& pixel, int64_t n) {
  __m512 sums[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) sums[v] = pixel.bias ? _mm512_loadu_ps(pixel.bias + n + 16 * v) : _mm512_setzero_ps();
  const float* w = pixel.weights + n;
  for (int64_t tap = 0; tap < pixel.taps; ++tap, w += pixel.w_stride) {
    const float* x = pixel.rows[tap] + n;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      sums[v] = _mm512_fmadd_ps(_mm512_loadu_ps(x + 16 * v), _mm512_loadu_ps(w + 16 * v), sums[v]);
  }
  const __m512 low = _mm512_set1_ps(pixel.low), high = _mm512_set1_ps(pixel.high);
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) _mm512_storeu_ps(pixel.c + n + 16 * v, clamp(sums[v], low, high));
}

void depthwise(const FloatDepthwise& pixel) noexcept {
  int64_t n = 0;
  for (; n + 64 <= pixel.n; n += 64) depthwise_vectors<4>(pixel, n);
  for (; n + 16 <= pixel.n; n += 16) depthwise_vectors<1>(pixel, n);
  for (; n < pixel.n; ++n) {
    float chain = pixel.bias ? pixel.bias[n] : 0.0f;
    for (int64_t tap = 0; tap < pixel.taps; ++tap)
      chain = __builtin_fmaf(pixel.rows[tap][n], pixel.weights[tap * pixel.w_stride + n], chain);
    pixel.c[n] = chain < pixel.low ? pixel.low : chain > pixel.high ? pixel.high : chain;
  }
}

}  // namespace

const FloatKernels float_kernels = {
    kRows,
    {any_rows<FloatStorage::f32>, any_rows<FloatStorage::f16>, any_rows<FloatStorage::bf16>},
    depthwise,
};
const FloatKernels float_kernels_f32 = {
    kRows,
    {any_rows<FloatStorage::f32>, nullptr, nullptr},
    depthwise,
};

}  // namespace lowbit::kernels::avx512
