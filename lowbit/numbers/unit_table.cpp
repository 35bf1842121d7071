#include "lowbit/numbers/unit_table.h"

#include <algorithm>
#include <array>

#include "lowbit/numbers/vector_loops.h"

namespace lowbit {

void encode_scaled(const LevelTable& units, float scale, const float* x, int64_t n, int32_t* codes) {
  constexpr int64_t kBlock = 1024;
  std::array<float, kBlock> ratios;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin);
    divide_loop(x + begin, scale, count, ratios.data());
    units.encode(ratios.data(), count, codes + begin);
  }
}

}  // namespace lowbit
