// vectors.h: what the shared loops need of 64-bit Arm: four lanes of int32 or float32, 16 bytes.
#pragma once

#include <arm_neon.h>
#include <stdint.h>

#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels::neon {
namespace {

struct Vectors {
  using Ints = int32x4_t;
  using Floats = float32x4_t;
  using Bytes = uint8x16_t;
  static constexpr int kLanes = 4;

  static Ints load_ints(const int32_t* from) { return vld1q_s32(from); }
  static void store_ints(int32_t* to, Ints x) { vst1q_s32(to, x); }
  static Floats load_floats(const float* from) { return vld1q_f32(from); }
  static Floats splat(float x) { return vdupq_n_f32(x); }
  static Bytes splat_bytes(uint8_t x) { return vdupq_n_u8(x); }
  static int16x8_t load_words(const int16_t* from) { return vld1q_s16(from); }
  static int16x8_t splat_words(int16_t x) { return vdupq_n_s16(x); }

  static Floats to_floats(Ints x) { return vcvtq_f32_s32(x); }
  static Ints to_ints(Floats x) { return vcvtnq_s32_f32(x); }
  static Floats add(Floats x, Floats y) { return vaddq_f32(x, y); }
  static Floats sub(Floats x, Floats y) { return vsubq_f32(x, y); }
  static Floats mul(Floats x, Floats y) { return vmulq_f32(x, y); }
  static Floats fma(Floats x, Floats y, Floats z) { return vfmaq_f32(z, x, y); }
  static Floats min(Floats x, Floats y) { return vminq_f32(x, y); }
  static Floats max(Floats x, Floats y) { return vmaxq_f32(x, y); }
  static Floats round(Floats x) { return vrndnq_f32(x); }

  static Bytes min_bytes(Bytes x, Bytes y) { return vminq_u8(x, y); }
  static Bytes max_bytes(Bytes x, Bytes y) { return vmaxq_u8(x, y); }
  static Bytes flip(Bytes x, Bytes y) { return veorq_u8(x, y); }

  /// Narrows with saturation, the zero point (16-bit lanes) added between.
  static Bytes pack(const Ints* x, int16x8_t zero) {
    const int16x8_t low = vqaddq_s16(vcombine_s16(vqmovn_s32(x[0]), vqmovn_s32(x[1])), zero);
    const int16x8_t high = vqaddq_s16(vcombine_s16(vqmovn_s32(x[2]), vqmovn_s32(x[3])), zero);
    return vcombine_u8(vqmovun_s16(low), vqmovun_s16(high));
  }
  /// The opposite, without a zero point.
  static void unpack(Bytes x, Ints* y) {
    const uint16x8_t low = vmovl_u8(vget_low_u8(x)), high = vmovl_u8(vget_high_u8(x));
    y[0] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low)));
    y[1] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low)));
    y[2] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high)));
    y[3] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)));
  }

  /// Stores `rows` <= 4 / V rows of n <= 4 V channels.
  template <int V>
  [[gnu::always_inline]] static void store(Bytes x, uint8_t* const* to, int rows, int64_t n) {
    if (V == 4 && n == 16) {
      vst1q_u8(to[0], x);
      return;
    }
    uint8_t bytes[16];
    vst1q_u8(bytes, x);
    for (int r = 0; r < rows; ++r) {
      if (n == V * kLanes)
        __builtin_memcpy(to[r], bytes + r * V * kLanes, V * kLanes);
      else
        for (int64_t i = 0; i < n; ++i) to[r][i] = bytes[r * V * kLanes + i];
    }
  }
  template <int V>
  [[gnu::always_inline]] static Bytes load(const uint8_t* const* from, int rows) {
    uint8_t bytes[16];
    for (int r = 0; r < 4 / V; ++r) __builtin_memcpy(bytes + r * V * kLanes, from[r < rows ? r : 0], V * kLanes);
    return vld1q_u8(bytes);
  }

  // Depthwise: 16 channels of one pixel.
  static Ints spread_ints(const int32_t* from) { return vld1q_s32(from); }
  static Floats spread_floats(const float* from) { return vld1q_f32(from); }
  static Bytes load_block(const uint8_t* from) { return vld1q_u8(from); }
  static Bytes gather_parts(const uint8_t* const* from) { return vld1q_u8(from[0]); }
  static Bytes load_parts(const uint8_t* from, int64_t, int) { return vld1q_u8(from); }
  [[gnu::always_inline]] static void store_block(Bytes x, uint8_t* to, int64_t n) { store<4>(x, &to, 1, n); }
  [[gnu::always_inline]] static void store_parts(Bytes x, uint8_t* to, int64_t, int, int64_t n) {
    store<4>(x, &to, 1, n);
  }

  /// Copies n codes with their signs changed by `shift`; writes up to 15 bytes more.
  static void copy(int8_t* to, const uint8_t* from, int64_t n, uint8_t shift) {
    const uint8x16_t change = vdupq_n_u8(shift);
    for (int64_t i = 0; i < n; i += 16) vst1q_s8(to + i, vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from + i), change)));
  }
  static uint8_t copy_mode(Code input) { return input == Code::u8 ? 128 : 0; }
};

}  // namespace
}  // namespace lowbit::kernels::neon
