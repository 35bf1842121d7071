// unit_table.h: systems whose levels are scale * (levels that never change): a code is the one nearest to x / scale.
// Division first, as ONNX does with a scale; ties to the even code.
#pragma once

#include "lowbit/numbers/level_table.h"

namespace lowbit {

/// codes[i] = nearest level of `units` to float32(x[i] / scale).
void encode_scaled(const LevelTable& units, float scale, const float* x, int64_t n, int32_t* codes);

}  // namespace lowbit
