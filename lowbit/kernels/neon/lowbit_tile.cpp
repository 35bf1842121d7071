// Without a dot product: products of bytes, added in pairs, which fit int16 since no weight is -128.
#include "lowbit/kernels/lowbit_tile.h"

#include <arm_neon.h>

namespace lowbit::kernels::neon {
namespace {

[[gnu::always_inline]] inline int32x4_t dot4(int32x4_t sum, int8x16_t w, int8x16_t x) {
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x)), high = vmull_high_s8(w, x);
  return vpadalq_s16(sum, vpaddq_s16(low, high));
}

}  // namespace

#include "lowbit/kernels/lowbit_tile_neon.h"

const LowbitKernels lowbit_kernels = kLowbitKernels;

}  // namespace lowbit::kernels::neon
