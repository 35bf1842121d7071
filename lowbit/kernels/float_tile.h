// float_tile.h: the innermost float product: sixteen output channels of a few rows. A row is reached through one
// pointer per tap, so that a convolution reads its input in place (a tap outside the image points at zeros) and a
// matrix product is the case of one tap. Weights may be stored in half the bytes; they are widened in registers.
//
//   c[i][n] = clamp(chain), chain = bias[n] (or c[i][n] if not `first`), then for each tap and k in ascending order
//             chain = fma(rows[tap * m + i][k], w[tap][k][n], chain);  clamp to [low, high] only if `last`
//
// Each output is one chain of fused multiply-adds in a stated order, so results are the same bits on every instruction
// set, for every tile size and every split of the work.
//
// Weights: element (tap, k, n) at tap * tap_stride + k * 16 + n; sixteen columns are always there. No alignment is
// needed.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lowbit::kernels {

enum class FloatStorage : uint8_t { f32, f16, bf16 };
constexpr int kFloatStorages = 3;
constexpr int kFloatColumns = 16;
constexpr int kFloatMostRows = 16;  ///< of a tile, on any instruction set

struct FloatTile {
  const float* const* rows;  ///< [taps][m]
  int64_t taps, k;
  const void* weights;
  int64_t tap_stride;  ///< elements
  const float* bias;   ///< [16] or null for 0; read if `first`
  float* c;
  int64_t c_stride;
  int64_t columns;  ///< 1 ... 16 are written
  bool first, last;
  float low, high;
};

using FloatTileFn = void (*)(const FloatTile& tile, int m) noexcept;

/// Depthwise: c[n] = clamp(chain), chain = bias[n], then for each tap in order fma(rows[tap][n], w[tap * w_stride + n],
/// chain), for n channels of one pixel.
struct FloatDepthwise {
  const float* const* rows;  ///< [taps]
  int64_t taps, n;
  const float* weights;
  int64_t w_stride;
  const float* bias;  ///< [n] or null
  float* c;
  float low, high;
};
using FloatDepthwiseFn = void (*)(const FloatDepthwise& pixel) noexcept;

struct FloatKernels {
  int tile_rows;  ///< most rows of a tile, at most kFloatMostRows
  FloatTileFn tiles[kFloatStorages];
  FloatDepthwiseFn depthwise;
};
// The second of each has float32 storage alone, for the small runtime, whose plans know no other.

namespace ref {
extern const FloatKernels float_kernels, float_kernels_f32;
}
namespace avx2 {
extern const FloatKernels float_kernels, float_kernels_f32;
}
namespace avx512 {
extern const FloatKernels float_kernels, float_kernels_f32;
}
namespace neon {
extern const FloatKernels float_kernels, float_kernels_f32;
}

}  // namespace lowbit::kernels
