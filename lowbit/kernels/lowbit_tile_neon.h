// lowbit_tile_neon.h: the low-bit tile for 64-bit Arm, over the one step that differs. Inside the room only, once per
// instruction set: the including file defines dot4(sum, w, x) before, in an anonymous namespace: sums of four products
// of signed bytes in each of four lanes, with weights in [-127, 127]; nothing here has external linkage.
namespace {

struct Wide {  // 16 rows of int32
  int32x4_t quarter[4];
};

[[gnu::always_inline]] inline int8x16_t broadcast4(const int8_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

constexpr int64_t chunk_bytes(LowbitCoding coding) {
  switch (coding) {
    case LowbitCoding::u1:
      return 64;
    case LowbitCoding::u2:
      return 128;
    case LowbitCoding::u3:
      return 192;
    case LowbitCoding::u7:
    case LowbitCoding::u8:
      return 512;
    default:
      return 256;
  }
}

// Bits [shift, shift + bits) of every byte.
template <int kBits>
[[gnu::always_inline]] inline uint8x16_t field(uint8x16_t w, int shift) {
  return vandq_u8(vshlq_u8(w, vdupq_n_s8(static_cast<int8_t>(-shift))), vdupq_n_u8((1 << kBits) - 1));
}

// Weights of k = 4 f ... 4 f + 3 of a chunk, rows 4 q ... 4 q + 3, as signed bytes (u8: 128 below the code).
template <LowbitCoding kCoding>
[[gnu::always_inline]] inline int8x16_t weights(const uint8_t* chunk, int f, int q, int8x16_t levels) {
  const uint8_t* at = chunk + 16 * q;
  if constexpr (kCoding == LowbitCoding::u1) return vreinterpretq_s8_u8(field<1>(vld1q_u8(at), f));
  if constexpr (kCoding == LowbitCoding::u2)
    return vreinterpretq_s8_u8(field<2>(vld1q_u8(at + 64 * (f / 4)), 2 * (f % 4)));
  if constexpr (kCoding == LowbitCoding::u3) {
    const uint8x16_t high = vshlq_n_u8(field<1>(vld1q_u8(at + 128), f), 2);
    return vreinterpretq_s8_u8(vorrq_u8(field<2>(vld1q_u8(at + 64 * (f / 4)), 2 * (f % 4)), high));
  }
  if constexpr (kCoding == LowbitCoding::u7) return vreinterpretq_s8_u8(vld1q_u8(at + 64 * f));
  if constexpr (kCoding == LowbitCoding::u8)
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(at + 64 * f), vdupq_n_u8(0x80)));
  const uint8x16_t codes = field<4>(vld1q_u8(at + 64 * (f / 2)), 4 * (f % 2));
  return kCoding == LowbitCoding::table ? vqtbl1q_s8(levels, codes) : vreinterpretq_s8_u8(codes);
}

// step * sum - zero * x_sum of four rows.
template <LowbitCoding kCoding>
[[gnu::always_inline]] inline int32x4_t centre(int32x4_t sum, const LowbitTile& tile, int64_t group, int i, int q) {
  if (kCoding == LowbitCoding::table) return sum;
  const int32x4_t x_sum = vdupq_n_s32(tile.x_sums[i * tile.x_sums_stride + group]);
  const int32x4_t flipped = vdupq_n_s32(kCoding == LowbitCoding::u8 ? 128 * tile.step : 0);
  int32x4_t zero = vdupq_n_s32(tile.zero);
  if (tile.zeros) {
    uint32_t four;
    __builtin_memcpy(&four, tile.zeros + group * kLowbitRows + 4 * q, 4);
    const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
    zero = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
  }
  return vmlsq_s32(vmulq_n_s32(sum, tile.step), vsubq_s32(zero, flipped), x_sum);
}

[[gnu::always_inline]] inline float32x4_t scale_of(const LowbitTile& tile, int64_t group, int q) {
  const int64_t at = group * kLowbitRows + 4 * q;
  if (tile.scales) return vld1q_f32(tile.scales + at);
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(tile.half_scales + at)));
}

template <LowbitCoding kCoding, int M>
void tile_rows(const LowbitTile& tile) {
  const int8x16_t levels = kCoding == LowbitCoding::table ? vld1q_s8(tile.table) : vdupq_n_s8(0);
  float32x4_t values[M][4];
  for (int i = 0; i < M; ++i)
    for (int q = 0; q < 4; ++q) values[i][q] = vdupq_n_f32(0);
  for (int64_t chunk = 0, group = 0; chunk < tile.chunks; ++group) {
    const int64_t end = chunk + tile.group_chunks < tile.chunks ? chunk + tile.group_chunks : tile.chunks;
    Wide sums[M];
    for (int i = 0; i < M; ++i)
      for (int q = 0; q < 4; ++q) sums[i].quarter[q] = vdupq_n_s32(0);
    for (; chunk < end; ++chunk) {
      const uint8_t* codes = tile.codes + chunk * chunk_bytes(kCoding);
      const int8_t* x = tile.x + chunk * kLowbitChunk;
#pragma GCC unroll 8
      for (int f = 0; f < 8; ++f)
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) {
          const int8x16_t w = weights<kCoding>(codes, f, q, levels);
#pragma GCC unroll 4
          for (int i = 0; i < M; ++i)
            sums[i].quarter[q] = dot4(sums[i].quarter[q], w, broadcast4(x + i * tile.x_stride + 4 * f));
        }
    }
    for (int i = 0; i < M; ++i)
      for (int q = 0; q < 4; ++q) {
        const int32x4_t sum = centre<kCoding>(sums[i].quarter[q], tile, group, i, q);
        if (tile.sums) {
          vst1q_s32(tile.sums + i * kLowbitRows + 4 * q, sum);
        } else {
          values[i][q] = vfmaq_f32(values[i][q], vcvtq_f32_s32(sum), scale_of(tile, group, q));
        }
      }
  }
  if (!tile.values) return;
  for (int i = 0; i < M; ++i)
    for (int q = 0; q < 4; ++q) {
      float32x4_t y = values[i][q];
      if (tile.x_scales) y = vmulq_n_f32(y, tile.x_scales[i]);
      if (tile.bias) y = vaddq_f32(y, vld1q_f32(tile.bias + 4 * q));
      vst1q_f32(tile.values + i * tile.values_stride + 4 * q, y);
    }
}

template <LowbitCoding kCoding>
void any_rows(const LowbitTile& tile, int m) noexcept {
  switch (m) {
    case 1:
      return tile_rows<kCoding, 1>(tile);
    case 2:
      return tile_rows<kCoding, 2>(tile);
    case 3:
      return tile_rows<kCoding, 3>(tile);
    default:
      return tile_rows<kCoding, 4>(tile);
  }
}

[[gnu::always_inline]] inline float32x4_t four_of(const float* x, int64_t left) {
  float lanes[4] = {};
  for (int64_t i = 0; i < 4 && i < left; ++i) lanes[i] = x[i];
  return vld1q_f32(lanes);
}

float quantize_row(const float* x, int64_t k, int64_t padded_k, int64_t group, float fixed_scale, int8_t* codes,
                   int32_t* sums) noexcept {
  float scale = fixed_scale;
  if (!(fixed_scale > 0)) {
    float32x4_t largest = vdupq_n_f32(0);
    for (int64_t i = 0; i < k; i += 4) largest = vmaxnmq_f32(largest, vabsq_f32(four_of(x + i, k - i)));
    scale = vmaxvq_f32(largest) / 127.0f;
  }
  if (!(scale > 0) || __builtin_isinf(scale)) scale = 1;
  const float32x4_t divisor = vdupq_n_f32(scale), low = vdupq_n_f32(-127.0f), high = vdupq_n_f32(127.0f);
  for (int64_t i = 0; i < padded_k; i += 4) {
    const float32x4_t v = four_of(x + i, k - i);
    const float32x4_t limited = vminnmq_f32(vmaxnmq_f32(vrndnq_f32(vdivq_f32(v, divisor)), low), high);
    const int32x4_t words = vandq_s32(vcvtq_s32_f32(limited), vreinterpretq_s32_u32(vceqq_f32(v, v)));
    int32_t lanes[4];
    vst1q_s32(lanes, words);
    for (int j = 0; j < 4; ++j) codes[i + j] = static_cast<int8_t>(lanes[j]);
    sums[i / group] = (i % group == 0 ? 0 : sums[i / group]) + vaddvq_s32(words);
  }
  return scale;
}

constexpr LowbitKernels kLowbitKernels = {
    {any_rows<LowbitCoding::u1>, any_rows<LowbitCoding::u2>, any_rows<LowbitCoding::u3>, any_rows<LowbitCoding::u4>,
     any_rows<LowbitCoding::u7>, any_rows<LowbitCoding::u8>, any_rows<LowbitCoding::table>},
    quantize_row,
    neon::lowbit_decoders,
};

}  // namespace
