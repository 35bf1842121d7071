// The definition of the low-bit tile: one code after the other.
#include "lowbit/kernels/lowbit_tile.h"

#include <math.h>
#include <string.h>

namespace lowbit::kernels::ref {
namespace {

constexpr int bits_of(LowbitCoding coding) {
  switch (coding) {
    case LowbitCoding::u1:
      return 1;
    case LowbitCoding::u2:
      return 2;
    case LowbitCoding::u3:
      return 3;
    case LowbitCoding::u7:
    case LowbitCoding::u8:
      return 8;
    default:
      return 4;
  }
}

// Code of (row r, k within the chunk).
int code_at(LowbitCoding coding, const uint8_t* chunk, int r, int k) {
  const int byte = 4 * r + k % 4;
  switch (coding) {
    case LowbitCoding::u1:
      return chunk[byte] >> (k / 4) & 1;
    case LowbitCoding::u2:
      return chunk[64 * (k / 16) + byte] >> (2 * (k % 16 / 4)) & 3;
    case LowbitCoding::u3: {
      const int low = chunk[64 * (k / 16) + byte] >> (2 * (k % 16 / 4)) & 3;
      return low | (chunk[128 + byte] >> (k / 4) & 1) << 2;
    }
    case LowbitCoding::u7:
    case LowbitCoding::u8:
      return chunk[64 * (k / 4) + byte];
    default:
      return chunk[64 * (k / 8) + byte] >> (4 * (k % 8 / 4)) & 15;
  }
}

float half_value(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 31u, fraction = half & 1023u;
  uint32_t word = 0;
  if (exponent == 0) {
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -value : value;
  }
  word = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
  float value = 0;
  memcpy(&value, &word, sizeof value);
  return value;
}

template <LowbitCoding kCoding>
void tile_rows(const LowbitTile& tile, int m) noexcept {
  for (int i = 0; i < m; ++i)
    for (int r = 0; r < kLowbitRows; ++r) {
      float value = 0;
      for (int64_t chunk = 0, group = 0; chunk < tile.chunks; ++group) {
        const int64_t end = chunk + tile.group_chunks < tile.chunks ? chunk + tile.group_chunks : tile.chunks;
        int64_t sum = 0;
        for (; chunk < end; ++chunk)
          for (int k = 0; k < kLowbitChunk; ++k) {
            const int code = code_at(kCoding, tile.codes + chunk * 64 * bits_of(kCoding), r, k);
            const int level = kCoding == LowbitCoding::table ? tile.table[code] : code;
            sum += level * tile.x[i * tile.x_stride + chunk * kLowbitChunk + k];
          }
        if (kCoding != LowbitCoding::table) {
          const int32_t zero = tile.zeros ? tile.zeros[group * kLowbitRows + r] : tile.zero;
          sum = sum * tile.step - static_cast<int64_t>(zero) * tile.x_sums[i * tile.x_sums_stride + group];
        }
        if (tile.sums) {
          tile.sums[i * kLowbitRows + r] = static_cast<int32_t>(sum);
        } else {
          const float scale = tile.scales ? tile.scales[group * kLowbitRows + r]
                                          : half_value(tile.half_scales[group * kLowbitRows + r]);
          value = fmaf(static_cast<float>(sum), scale, value);
        }
      }
      if (tile.x_scales) value = value * tile.x_scales[i];
      if (tile.bias) value = value + tile.bias[r];
      if (tile.values) tile.values[i * tile.values_stride + r] = value;
    }
}

float quantize_row(const float* x, int64_t k, int64_t padded_k, int64_t group, float fixed_scale, int8_t* codes,
                   int32_t* sums) noexcept {
  float largest = 0;
  for (int64_t i = 0; i < k; ++i) {
    const float size = fabsf(x[i]);
    if (size > largest) largest = size;
  }
  float scale = fixed_scale > 0 ? fixed_scale : largest / 127.0f;
  if (!(scale > 0) || isinf(scale)) scale = 1;
  for (int64_t i = 0; i < padded_k; ++i) {
    if (i % group == 0) sums[i / group] = 0;
    const float quotient = i < k && !isnan(x[i]) ? rintf(x[i] / scale) : 0.0f;
    codes[i] = static_cast<int8_t>(quotient < -127.0f ? -127.0f : quotient > 127.0f ? 127.0f : quotient);
    sums[i / group] += codes[i];
  }
  return scale;
}

}  // namespace

const LowbitKernels lowbit_kernels = {
    {tile_rows<LowbitCoding::u1>, tile_rows<LowbitCoding::u2>, tile_rows<LowbitCoding::u3>, tile_rows<LowbitCoding::u4>,
     tile_rows<LowbitCoding::u7>, tile_rows<LowbitCoding::u8>, tile_rows<LowbitCoding::table>},
    quantize_row,
    lowbit_decoders,
};

}  // namespace lowbit::kernels::ref
