#include "lowbit/kernels/lowbit_tile.h"

#include <arm_neon.h>

namespace lowbit::kernels::neondot {
namespace {

[[gnu::always_inline]] inline int32x4_t dot4(int32x4_t sum, int8x16_t w, int8x16_t x) { return vdotq_s32(sum, w, x); }

}  // namespace

#include "lowbit/kernels/lowbit_tile_neon.h"

const LowbitKernels lowbit_kernels = kLowbitKernels;

}  // namespace lowbit::kernels::neondot
