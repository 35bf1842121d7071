#include "lowbit/kernels/lowbit_binary.h"

namespace lowbit::kernels::ref {

void binary_tile(const BinaryTile& tile, int m) noexcept {
  for (int i = 0; i < m; ++i)
    for (int r = 0; r < kBinaryRows; ++r) {
      int64_t different = 0;
      for (int64_t w = 0; w < tile.words; ++w)
        different += __builtin_popcountll(tile.a[i * tile.a_stride + w] ^ tile.b[w * kBinaryRows + r]);
      tile.y[i * tile.y_stride + r] = static_cast<int32_t>(tile.k - 2 * different);
    }
}

}  // namespace lowbit::kernels::ref
