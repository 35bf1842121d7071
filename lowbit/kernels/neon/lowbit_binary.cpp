#include "lowbit/kernels/lowbit_binary.h"

#include <arm_neon.h>

namespace lowbit::kernels::neon {

void binary_tile(const BinaryTile& tile, int m) noexcept {
  for (int i = 0; i < m; ++i)
    for (int v = 0; v < 8; ++v) {  // two rows
      uint64x2_t total = vdupq_n_u64(0);
      for (int64_t w = 0; w < tile.words; ++w) {
        const uint64x2_t b = vld1q_u64(tile.b + w * kBinaryRows + 2 * v);
        const uint8x16_t bits = vreinterpretq_u8_u64(veorq_u64(b, vdupq_n_u64(tile.a[i * tile.a_stride + w])));
        total = vaddq_u64(total, vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vcntq_u8(bits)))));
      }
      const int32x2_t different = vreinterpret_s32_u32(vmovn_u64(total));
      vst1_s32(tile.y + i * tile.y_stride + 2 * v,
               vsub_s32(vdup_n_s32(static_cast<int32_t>(tile.k)), vshl_n_s32(different, 1)));
    }
}

}  // namespace lowbit::kernels::neon
