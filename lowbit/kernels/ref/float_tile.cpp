#include "lowbit/kernels/float_tile.h"

#include <math.h>
#include <string.h>

namespace lowbit::kernels::ref {
namespace {

float widened(float value) { return value; }
float widened_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16, exponent = half >> 10 & 31u,
                 fraction = half & 1023u;
  if (exponent == 0) return copysignf(static_cast<float>(fraction) * 0x1p-24f, sign ? -1.0f : 1.0f);
  const uint32_t word = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
  float value = 0;
  memcpy(&value, &word, sizeof value);
  return value;
}
float widened_bfloat(uint16_t bits) {
  const uint32_t word = static_cast<uint32_t>(bits) << 16;
  float value = 0;
  memcpy(&value, &word, sizeof value);
  return value;
}

float clamped(float value, float low, float high) { return value < low ? low : value > high ? high : value; }

template <typename T, float (*kWiden)(T)>
void tile_rows(const FloatTile& tile, int m) noexcept {
  const T* weights = static_cast<const T*>(tile.weights);
  for (int i = 0; i < m; ++i)
    for (int64_t n = 0; n < tile.columns; ++n) {
      float* c = tile.c + i * tile.c_stride + n;
      float chain = !tile.first ? *c : tile.bias ? tile.bias[n] : 0.0f;
      for (int64_t tap = 0; tap < tile.taps; ++tap)
        for (int64_t k = 0; k < tile.k; ++k)
          chain =
              fmaf(tile.rows[tap * m + i][k], kWiden(weights[tap * tile.tap_stride + k * kFloatColumns + n]), chain);
      *c = tile.last ? clamped(chain, tile.low, tile.high) : chain;
    }
}

void depthwise(const FloatDepthwise& pixel) noexcept {
  for (int64_t n = 0; n < pixel.n; ++n) {
    float chain = pixel.bias ? pixel.bias[n] : 0.0f;
    for (int64_t tap = 0; tap < pixel.taps; ++tap)
      chain = fmaf(pixel.rows[tap][n], pixel.weights[tap * pixel.w_stride + n], chain);
    pixel.c[n] = clamped(chain, pixel.low, pixel.high);
  }
}

}  // namespace

const FloatKernels float_kernels = {
    4,
    {tile_rows<float, widened>, tile_rows<uint16_t, widened_half>, tile_rows<uint16_t, widened_bfloat>},
    depthwise,
};
const FloatKernels float_kernels_f32 = {
    4,
    {tile_rows<float, widened>, nullptr, nullptr},
    depthwise,
};

}  // namespace lowbit::kernels::ref
