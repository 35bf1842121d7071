// Six rows of sixteen columns: twenty-four sums and four weights of the thirty-two registers.
#include "lowbit/kernels/float_tile.h"

#include <arm_neon.h>

namespace lowbit::kernels::neon {
namespace {

constexpr int kRows = 6;

template <FloatStorage kStorage>
[[gnu::always_inline]] inline float32x4_t four(const void* weights, int64_t at) {
  if constexpr (kStorage == FloatStorage::f32) return vld1q_f32(static_cast<const float*>(weights) + at);
  const uint16x4_t bits = vld1_u16(static_cast<const uint16_t*>(weights) + at);
  if constexpr (kStorage == FloatStorage::f16) return vcvt_f32_f16(vreinterpret_f16_u16(bits));
  return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
}

// NaN passes through.
[[gnu::always_inline]] inline float32x4_t clamp(float32x4_t v, float32x4_t low, float32x4_t high) {
  const float32x4_t above = vbslq_f32(vcltq_f32(v, low), low, v);
  return vbslq_f32(vcgtq_f32(above, high), high, above);
}

[[gnu::always_inline]] inline float32x4_t load_four(const float* p, int64_t n) {
  if (n >= 4) return vld1q_f32(p);
  float lanes[4] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return vld1q_f32(lanes);
}
[[gnu::always_inline]] inline void store_four(float* p, int64_t n, float32x4_t v) {
  if (n >= 4) return vst1q_f32(p, v);
  float lanes[4];
  vst1q_f32(lanes, v);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

template <FloatStorage kStorage, int M>
void tile_rows(const FloatTile& tile) {
  float32x4_t sums[M][4];
#pragma GCC unroll 6
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      const float* from = tile.first ? tile.bias : tile.c + i * tile.c_stride;
      sums[i][q] = from ? load_four(from + 4 * q, tile.columns - 4 * q) : vdupq_n_f32(0);
    }
  const float* const* rows = tile.rows;
  for (int64_t tap = 0; tap < tile.taps; ++tap, rows += M)
    for (int64_t k = 0; k < tile.k; ++k) {
      const int64_t at = tap * tile.tap_stride + k * kFloatColumns;
      const float32x4_t w[4] = {four<kStorage>(tile.weights, at), four<kStorage>(tile.weights, at + 4),
                                four<kStorage>(tile.weights, at + 8), four<kStorage>(tile.weights, at + 12)};
#pragma GCC unroll 6
      for (int i = 0; i < M; ++i) {
        const float32x4_t v = vdupq_n_f32(rows[i][k]);
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) sums[i][q] = vfmaq_f32(sums[i][q], v, w[q]);
      }
    }
  const float32x4_t low = vdupq_n_f32(tile.low), high = vdupq_n_f32(tile.high);
#pragma GCC unroll 6
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q)
      store_four(tile.c + i * tile.c_stride + 4 * q, tile.columns - 4 * q,
                 tile.last ? clamp(sums[i][q], low, high) : sums[i][q]);
}

template <FloatStorage kStorage>
void any_rows(const FloatTile& tile, int m) noexcept {
  switch (m) {
    case 1:
      return tile_rows<kStorage, 1>(tile);
    case 2:
      return tile_rows<kStorage, 2>(tile);
    case 3:
      return tile_rows<kStorage, 3>(tile);
    case 4:
      return tile_rows<kStorage, 4>(tile);
    case 5:
      return tile_rows<kStorage, 5>(tile);
    default:
      return tile_rows<kStorage, 6>(tile);
  }
}

void depthwise(const FloatDepthwise& pixel) noexcept {
  const float32x4_t low = vdupq_n_f32(pixel.low), high = vdupq_n_f32(pixel.high);
  for (int64_t n = 0; n < pixel.n; n += 4) {
    const int64_t left = pixel.n - n;
    float32x4_t sum = pixel.bias ? load_four(pixel.bias + n, left) : vdupq_n_f32(0);
    for (int64_t tap = 0; tap < pixel.taps; ++tap)
      sum = vfmaq_f32(sum, load_four(pixel.rows[tap] + n, left),
                      load_four(pixel.weights + tap * pixel.w_stride + n, left));
    store_four(pixel.c + n, left, clamp(sum, low, high));
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

}  // namespace lowbit::kernels::neon
