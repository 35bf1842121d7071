// Six rows of sixteen columns: twelve sums, two weights, one broadcast of the sixteen registers.
#include "lowbit/kernels/float_tile.h"

#include <immintrin.h>

namespace lowbit::kernels::avx2 {
namespace {

constexpr int kRows = 6;

template <FloatStorage kStorage>
struct Weights;
template <>
struct Weights<FloatStorage::f32> {
  using Element = float;
  [[gnu::always_inline]] static __m256 eight(const float* w) { return _mm256_loadu_ps(w); }
};
template <>
struct Weights<FloatStorage::f16> {
  using Element = uint16_t;
  [[gnu::always_inline]] static __m256 eight(const uint16_t* w) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
  }
};
template <>
struct Weights<FloatStorage::bf16> {
  using Element = uint16_t;
  [[gnu::always_inline]] static __m256 eight(const uint16_t* w) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
};

// NaN passes through: min and max return their second operand when a comparison fails.
[[gnu::always_inline]] inline __m256 clamp(__m256 v, __m256 low, __m256 high) {
  return _mm256_min_ps(high, _mm256_max_ps(low, v));
}

/// All bits of the first n lanes.
[[gnu::always_inline]] inline __m256i first_lanes(int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 0 ? static_cast<int>(n) : 0), lane);
}
[[gnu::always_inline]] inline __m256 load_eight(const float* p, int64_t n) {
  return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(n));
}
[[gnu::always_inline]] inline void store_eight(float* p, int64_t n, __m256 v) {
  if (n >= 8)
    _mm256_storeu_ps(p, v);
  else
    _mm256_maskstore_ps(p, first_lanes(n), v);
}

/// The rows [first, first + M) of the m rows of a tile.
template <FloatStorage kStorage, int M>
void tile_rows(const FloatTile& tile, int first, int m) {
  using Storage = Weights<kStorage>;
  float* const c = tile.c + first * tile.c_stride;
  __m256 sums[M][2];
#pragma GCC unroll 6
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const float* from = tile.first ? tile.bias : c + i * tile.c_stride;
      sums[i][h] = from ? load_eight(from + 8 * h, tile.columns - 8 * h) : _mm256_setzero_ps();
    }
  const auto* weights = static_cast<const typename Storage::Element*>(tile.weights);
  const float* const* rows = tile.rows + first;
  for (int64_t tap = 0; tap < tile.taps; ++tap, weights += tile.tap_stride, rows += m) {
    const auto* w = weights;
    const float* x[M];
#pragma GCC unroll 6
    for (int i = 0; i < M; ++i) x[i] = rows[i];
#pragma GCC unroll 4
    for (int64_t k = 0; k < tile.k; ++k, w += kFloatColumns) {
      const __m256 w0 = Storage::eight(w), w1 = Storage::eight(w + 8);
#pragma GCC unroll 6
      for (int i = 0; i < M; ++i) {
        const __m256 v = _mm256_broadcast_ss(x[i] + k);
        sums[i][0] = _mm256_fmadd_ps(v, w0, sums[i][0]);
        sums[i][1] = _mm256_fmadd_ps(v, w1, sums[i][1]);
      }
    }
  }
  const __m256 low = _mm256_set1_ps(tile.low), high = _mm256_set1_ps(tile.high);
#pragma GCC unroll 6
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h)
      store_eight(c + i * tile.c_stride + 8 * h, tile.columns - 8 * h,
                  tile.last ? clamp(sums[i][h], low, high) : sums[i][h]);
}

/// Whole tiles, then smaller ones for the rows that are left: few sizes keep the library small.
template <FloatStorage kStorage>
void any_rows(const FloatTile& tile, int m) noexcept {
  int i = 0;
  for (; m - i >= 6; i += 6) tile_rows<kStorage, 6>(tile, i, m);
  for (; m - i >= 4; i += 4) tile_rows<kStorage, 4>(tile, i, m);
  for (; m - i >= 2; i += 2) tile_rows<kStorage, 2>(tile, i, m);
  if (i < m) tile_rows<kStorage, 1>(tile, i, m);
}

// Thirty-two channels at a time hide the latency of the chains.
template <int V>
void depthwise_vectors(const FloatDepthwise& pixel, int64_t n) {
  __m256 sums[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) sums[v] = pixel.bias ? _mm256_loadu_ps(pixel.bias + n + 8 * v) : _mm256_setzero_ps();
  const float* w = pixel.weights + n;
  for (int64_t tap = 0; tap < pixel.taps; ++tap, w += pixel.w_stride) {
    const float* x = pixel.rows[tap] + n;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      sums[v] = _mm256_fmadd_ps(_mm256_loadu_ps(x + 8 * v), _mm256_loadu_ps(w + 8 * v), sums[v]);
  }
  const __m256 low = _mm256_set1_ps(pixel.low), high = _mm256_set1_ps(pixel.high);
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) _mm256_storeu_ps(pixel.c + n + 8 * v, clamp(sums[v], low, high));
}

void depthwise(const FloatDepthwise& pixel) noexcept {
  int64_t n = 0;
  for (; n + 32 <= pixel.n; n += 32) depthwise_vectors<4>(pixel, n);
  for (; n + 8 <= pixel.n; n += 8) depthwise_vectors<1>(pixel, n);
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

}  // namespace lowbit::kernels::avx2
