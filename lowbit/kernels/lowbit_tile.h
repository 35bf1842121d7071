// lowbit_tile.h: the contract of the innermost low-bit product: 16 rows of packed low-bit weights times up to four rows
// of int8 activations. Weights are decoded in registers; the only memory that is read is the packed stream, which is
// why a matrix-vector product can run at the speed of that stream.
//
// Packed weights (one layout for every instruction set, so that it can be stored): rows in blocks of 16, k in chunks of
// 32, k padded with any codes up to a multiple of 32. A chunk takes 64 * bits bytes and holds codes u >= 0. Byte 4 r +
// j of a vector of 64 bytes belongs to row r and, with j = 0 ... 3:
//
//   u4     vectors v = 0..3: low nibble k = 8 v + j, high nibble k = 8 v + 4 + j
//   u2     vectors v = 0..1: bits 2 f and 2 f + 1 are k = 16 v + 4 f + j, f = 0..3
//   u1     one vector: bit f is k = 4 f + j, f = 0..7
//   u3     the low two bits as u2 (128 bytes), then the high bit as u1 (64 bytes)
//   u8     vectors v = 0..7: k = 4 v + j
//   u7     as u8, every code below 128 (int7 weights, zero = 64): half the time where there is no VNNI
//   table  as u4; the nibble selects one of 16 int8 levels
//
// So each 32-bit lane holds four consecutive k of one row: a broadcast of four activations meets all rows, and sums
// stay in lanes, with no sum across a vector.
//
// Formula, for group g (a run of group_chunks chunks, the last may be shorter), row r, activation row i:
//
//   S[i][r][g] = step * sum_k u[r][k] * x[i][k] - zero[g][r] * x_sum[i][g]     (exact; table: sum of levels * x)
//
//   sums mode:    sums[i * 16 + r] = S[i][r][0]                                (one group)
//   values mode:  f = 0; for g ascending: f = fma(float(S[i][r][g]), scale[g][r], f)
//                 values[i * values_stride + r] = fl32(fl32(f * x_scales[i]) + bias[r]), what is null left out
//
// with float() rounding to nearest even, so that every instruction set gives the same bits. u8 codes mean levels like
// the others: step * u - zero, with zero = 128 for int8 weights.
//
// Preconditions: |S| < 2^31. With u8 no code is 0 (an int8 weight is at least -127), and levels of tables lie in
// [-127, 127]; padding beyond k excepted. x rows are readable and zero up to the padded k. No alignment is needed;
// codes aligned to 64 bytes are faster.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lowbit::kernels {

enum class LowbitCoding : uint8_t { u1, u2, u3, u4, u7, u8, table };
constexpr int kLowbitCodings = 7;

constexpr int kLowbitRows = 16;   ///< rows of a block
constexpr int kLowbitChunk = 32;  ///< k of a chunk
constexpr int kLowbitTileM = 4;   ///< most activation rows of a tile

struct LowbitTile {
  const uint8_t* codes;         ///< the block: chunks * 64 * bits bytes
  int64_t chunks;               ///< padded k / 32
  int64_t group_chunks;         ///< chunks of a group, >= 1
  const float* scales;          ///< [groups][16]; null: half_scales, or sums mode
  const uint16_t* half_scales;  ///< [groups][16] IEEE half; null: scales
  const uint8_t* zeros;         ///< [groups][16]; null: `zero` for all
  int32_t zero;                 ///< level = step * u - zero
  int32_t step;                 ///< 1, or 2 for {-1, 1} from one bit; ignored (1) with a table
  const int8_t* table;          ///< 16 levels in [-127, 127]; table coding only
  const int8_t* x;              ///< [m][x_stride]
  int64_t x_stride;
  const int32_t* x_sums;  ///< [m][x_sums_stride]: sum of x over each group
  int64_t x_sums_stride;
  int32_t* sums;  ///< [m][16] (sums mode), or null
  float* values;  ///< [m][values_stride] (values mode), or null
  int64_t values_stride;
  const float* x_scales;  ///< [m], or null
  const float* bias;      ///< [16], or null
};

/// m rows of activations, 1 <= m <= kLowbitTileM.
using LowbitTileFn = void (*)(const LowbitTile& tile, int m) noexcept;

/// Activations to codes: s = fixed_scale if that is positive, else max|x| / 127 (1 if that is 0 or not finite); codes =
/// clamp(rne(x / s), -127, 127), NaN gives 0; sums over each run of `group` codes; codes from k to padded_k are 0.
/// Returns s.
using LowbitQuantizeRowFn = float (*)(const float* x, int64_t k, int64_t padded_k, int64_t group, float fixed_scale,
                                      int8_t* codes, int32_t* sums) noexcept;

struct LowbitDecode;
/// Packed weights to float32: lowbit_decode.h.
using LowbitDecodeFn = void (*)(const LowbitDecode& piece) noexcept;

/// The functions of an instruction set: a tile and a decoder per coding, in the order of LowbitCoding.
struct LowbitKernels {
  LowbitTileFn tiles[kLowbitCodings];
  LowbitQuantizeRowFn quantize_row;
  const LowbitDecodeFn* decoders;
};

namespace ref {
extern const LowbitKernels lowbit_kernels;
extern const LowbitDecodeFn lowbit_decoders[kLowbitCodings];
}  // namespace ref
namespace avx2 {
extern const LowbitKernels lowbit_kernels;
float lowbit_quantize_row(const float* x, int64_t k, int64_t padded_k, int64_t group, float fixed_scale, int8_t* codes,
                          int32_t* sums) noexcept;  // also for the later instruction sets of its family
extern const LowbitDecodeFn lowbit_decoders[kLowbitCodings];
}  // namespace avx2
namespace avx512vnni {
extern const LowbitKernels lowbit_kernels;
}
namespace neon {
extern const LowbitKernels lowbit_kernels;
extern const LowbitDecodeFn lowbit_decoders[kLowbitCodings];
}  // namespace neon
namespace neondot {
extern const LowbitKernels lowbit_kernels;
}

}  // namespace lowbit::kernels
