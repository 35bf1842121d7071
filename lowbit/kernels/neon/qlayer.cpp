// Layers by smull and sadalp: products of signed bytes, neighbours added to 32-bit sums. Unsigned activations have 128
// taken off while they are gathered; the bias puts it back.
#include <arm_neon.h>
#include <stdint.h>

#include "lowbit/kernels/neon/vectors.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/kernels/qlayer_depthwise.h"
#include "lowbit/kernels/qlayer_tiles.h"

namespace lowbit::kernels::neon {
namespace {

struct Pairs : Vectors {
  using Element = int8_t;
  using Weights = int8x8_t;
  static constexpr int kGroup = 2, kMaxVectors = 4, kPixelGrain = 12;
  static constexpr Code kMultiplies = Code::s8;
  static constexpr int rows_of_tile(int vectors) { return vectors == 4 ? 6 : 12; }

  static Weights load_weights(const int8_t* from) { return vld1_s8(from); }
  static int8x8_t broadcast(const int8_t* from) {
    int16_t pair;
    __builtin_memcpy(&pair, from, sizeof(pair));
    return vreinterpret_s8_s16(vdup_n_s16(pair));
  }
  [[gnu::always_inline]] static void dot(Ints& sum, int8x8_t x, Weights w) { sum = vpadalq_s16(sum, vmull_s8(x, w)); }
};

/// Depthwise: two taps side by side, widened.
struct TapPairs : Vectors {
  using Weight = int16_t;
  static constexpr int kTaps = 2;
  static constexpr Code kMultiplies = Code::s8;

  static int16x8_t load_weights(const int16_t* from) { return vld1q_s16(from); }
  static int16x8_t spread_weights(const int16_t* from) { return vld1q_s16(from); }
  static void interleave(const Bytes* taps, Ints* x) {
    const int8x16_t low = vreinterpretq_s8_u8(vzip1q_u8(taps[0], taps[1]));
    const int8x16_t high = vreinterpretq_s8_u8(vzip2q_u8(taps[0], taps[1]));
    x[0] = vreinterpretq_s32_s16(vmovl_s8(vget_low_s8(low)));
    x[1] = vreinterpretq_s32_s16(vmovl_s8(vget_high_s8(low)));
    x[2] = vreinterpretq_s32_s16(vmovl_s8(vget_low_s8(high)));
    x[3] = vreinterpretq_s32_s16(vmovl_s8(vget_high_s8(high)));
  }
  [[gnu::always_inline]] static void dot(Ints& sum, Ints x, int16x8_t w) {
    const int16x8_t codes = vreinterpretq_s16_s32(x);
    const int32x4_t low = vmull_s16(vget_low_s16(codes), vget_low_s16(w)), high = vmull_high_s16(codes, w);
    sum = vaddq_s32(sum, vpaddq_s32(low, high));
  }
};

}  // namespace

extern const QLayerKernel qlayer_kernels[2];
const QLayerKernel qlayer_kernels[2] = {
    depthwise_kernel<TapPairs>("depthwise-neon", "depthwise, pairs of taps by smull", Isa::neon),
    tiles_kernel<Pairs>("qlayer-neon", "register tiles, smull and sadalp", Isa::neon),
};

}  // namespace lowbit::kernels::neon
