// Layers by sdot: four signed products added to a 32-bit sum. Unsigned activations have 128 taken off while they are
// gathered; the bias puts it back.
#include <arm_neon.h>
#include <stdint.h>

#include "lowbit/kernels/neon/vectors.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/kernels/qlayer_depthwise.h"
#include "lowbit/kernels/qlayer_tiles.h"

namespace lowbit::kernels::neondot {
namespace {

using neon::Vectors;

struct Quads : Vectors {
  using Element = int8_t;
  using Weights = int8x16_t;
  static constexpr int kGroup = 4, kMaxVectors = 4, kPixelGrain = 12;
  static constexpr Code kMultiplies = Code::s8;
  static constexpr int rows_of_tile(int vectors) { return vectors == 4 ? 6 : 12; }

  static Weights load_weights(const int8_t* from) { return vld1q_s8(from); }
  static int8x16_t broadcast(const int8_t* from) {
    int32_t quad;
    __builtin_memcpy(&quad, from, sizeof(quad));
    return vreinterpretq_s8_s32(vdupq_n_s32(quad));
  }
  [[gnu::always_inline]] static void dot(Ints& sum, int8x16_t x, Weights w) { sum = vdotq_s32(sum, x, w); }
};

/// Depthwise: four taps side by side.
struct TapQuads : Vectors {
  using Weight = int8_t;
  static constexpr int kTaps = 4;
  static constexpr Code kMultiplies = Code::s8;

  static int8x16_t load_weights(const int8_t* from) { return vld1q_s8(from); }
  static int8x16_t spread_weights(const int8_t* from) { return vld1q_s8(from); }
  static void interleave(const Bytes* taps, Ints* x) {
    const uint16x8_t low01 = vreinterpretq_u16_u8(vzip1q_u8(taps[0], taps[1]));
    const uint16x8_t high01 = vreinterpretq_u16_u8(vzip2q_u8(taps[0], taps[1]));
    const uint16x8_t low23 = vreinterpretq_u16_u8(vzip1q_u8(taps[2], taps[3]));
    const uint16x8_t high23 = vreinterpretq_u16_u8(vzip2q_u8(taps[2], taps[3]));
    x[0] = vreinterpretq_s32_u16(vzip1q_u16(low01, low23));
    x[1] = vreinterpretq_s32_u16(vzip2q_u16(low01, low23));
    x[2] = vreinterpretq_s32_u16(vzip1q_u16(high01, high23));
    x[3] = vreinterpretq_s32_u16(vzip2q_u16(high01, high23));
  }
  [[gnu::always_inline]] static void dot(Ints& sum, Ints x, int8x16_t w) {
    sum = vdotq_s32(sum, vreinterpretq_s8_s32(x), w);
  }
};

}  // namespace

extern const QLayerKernel qlayer_kernels[2];
const QLayerKernel qlayer_kernels[2] = {
    depthwise_kernel<TapQuads>("depthwise-neondot", "depthwise, four taps by sdot", Isa::neondot),
    tiles_kernel<Quads>("qlayer-neondot", "register tiles, sdot", Isa::neondot),
};

}  // namespace lowbit::kernels::neondot
