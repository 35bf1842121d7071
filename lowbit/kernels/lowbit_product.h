// lowbit_product.h: products with constant weights of 1 to 4 bits (or 8), int8 activations: y[m][n] = x[m][k]
// w[n][k]^T. One function serves the matrix-vector product of a decoder (m = 1), small batches and matrix products:
// weights are stored once, in the layout of lowbit_tile.h, and decoded in registers. docs/integer-semantics.md,
// "Low-bit products", is the definition.
//
//   value of a weight   = scale[n][g] * level,  level = step * u - zero[n][g]  (or table[u])
//   value of activation = x_scale[i] * (x - x_zero[i])
//   f[i][n] as in lowbit_tile.h (a chain of fused multiply-adds over the groups g)
//   y[i][n] = fl32(fl32((f[i][n] - fl32(x_zero[i] * offset[n])) * x_scale[i]) + bias[n])           float output
//   y[i][n] = sums[i][n] + bias[n]                                                              int32 output
//   y[i][n] = min(max(rne(fl32(fl32(sums + bias) * factor[n])) + zero_point, low), high)         code output
// the last two with one group per row; steps whose operand is absent are left out.
//
// Use: pack codes (lowbit_pack_codes) and parameters (lowbit_pack_rows) once; per call quantize the activations
// (lowbit_quantize_rows) or bring codes with their sums (lowbit_sum_rows); then lowbit_product for a range of row
// blocks, which is how the caller spreads the work over threads. Results do not depend on the split.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lowbit/kernels/cpu.h"
#include "lowbit/kernels/lowbit_tile.h"

namespace lowbit::kernels {

int lowbit_bits(LowbitCoding coding);

/// View of packed weights.
struct LowbitMatrix {
  LowbitCoding coding = LowbitCoding::u4;
  int64_t n = 0, k = 0;
  int64_t group = 0;                      ///< elements of k per scale: a multiple of 32; >= k: one group per row
  const uint8_t* codes = nullptr;         ///< lowbit_code_bytes(), 64-byte aligned for speed
  const float* scales = nullptr;          ///< [blocks][groups][16] (lowbit_pack_rows), or
  const uint16_t* half_scales = nullptr;  ///< the same as IEEE half
  const uint8_t* zeros = nullptr;         ///< the same layout; null: `zero` everywhere
  int32_t zero = 0, step = 1;
  const int8_t* table = nullptr;   ///< 16 levels, table coding only
  const float* offsets = nullptr;  ///< [blocks * 16] (lowbit_row_offsets); needed only where x_zero is not 0

  [[gnu::always_inline]] int64_t blocks() const { return (n + kLowbitRows - 1) / kLowbitRows; }
  [[gnu::always_inline]] int64_t chunks() const { return (k + kLowbitChunk - 1) / kLowbitChunk; }
  [[gnu::always_inline]] int64_t padded_k() const { return chunks() * kLowbitChunk; }
  [[gnu::always_inline]] int64_t groups() const { return group >= k ? 1 : (k + group - 1) / group; }
};

/// Bytes of the packed codes of an n x k matrix.
size_t lowbit_code_bytes(LowbitCoding coding, int64_t n, int64_t k);
/// codes: unsigned, one per byte, row-major with `stride`; bits above the width must be 0. Padding is written as 0.
void lowbit_pack_codes(LowbitCoding coding, int64_t n, int64_t k, const uint8_t* codes, int64_t stride,
                       uint8_t* packed);
/// Parameters [n][groups] to [blocks][groups][16]; the rows beyond n repeat 0. packed: blocks * groups * 16 elements.
void lowbit_pack_rows(int64_t n, int64_t groups, const float* rows, float* packed);
void lowbit_pack_rows(int64_t n, int64_t groups, const uint16_t* rows, uint16_t* packed);
void lowbit_pack_rows(int64_t n, int64_t groups, const uint8_t* rows, uint8_t* packed);
/// offsets[row] = sum over groups of scale * (sum of levels), in double, then float32: 16 per block.
void lowbit_row_offsets(const LowbitMatrix& w, float* offsets);

/// Activations in codes. Rows are readable and zero from k to padded_k.
struct LowbitActivations {
  int64_t m = 0;
  const int8_t* codes = nullptr;  ///< [m][stride], stride >= padded_k
  int64_t stride = 0;
  const int32_t* sums = nullptr;   ///< [m][groups] of the matrix
  const float* scales = nullptr;   ///< [m]; float output only
  const int32_t* zeros = nullptr;  ///< [m], or null for 0
};

/// Where lowbit_quantize_rows writes: codes [m][padded_k], sums [m][groups], scales [m].
struct LowbitQuantizedRows {
  int8_t* codes;
  int32_t* sums;
  float* scales;
};
/// Rows [first, last) of x[m][x_stride] to symmetric codes: each row by its largest size, or by `fixed_scale` if that
/// is positive; see LowbitQuantizeRowFn.
void lowbit_quantize_rows(const LowbitMatrix& w, const float* x, int64_t x_stride, int64_t first, int64_t last,
                          float fixed_scale, const LowbitQuantizedRows& to, Isa isa) noexcept;
/// sums[m][groups] of rows of codes.
void lowbit_sum_rows(const LowbitMatrix& w, const int8_t* codes, int64_t stride, int64_t m, int32_t* sums) noexcept;

/// Exactly one of the three pointers is set.
struct LowbitResult {
  float* values = nullptr;
  int32_t* sums = nullptr;
  uint8_t* codes = nullptr;               ///< uint8, or int8 (the same bits) if `low` is negative
  int64_t stride = 0;                     ///< elements between rows of the result
  const float* bias = nullptr;            ///< [n], float output
  const int32_t* integer_bias = nullptr;  ///< [n], int32 and code output
  const float* factors = nullptr;         ///< [n], code output
  int32_t zero_point = 0, low = 0, high = 255;
};

/// Computes columns [16 first_block, min(n, 16 last_block)) of every row of the result. Preconditions: lowbit_tile.h;
/// |sums + bias| < 2^31; one group per row unless `values` is set.
void lowbit_product(const LowbitMatrix& w, const LowbitActivations& x, int64_t first_block, int64_t last_block,
                    const LowbitResult& result, Isa isa) noexcept;

/// One row per compiled instruction set that has functions of its own.
struct LowbitRow {
  Isa isa;
  const LowbitKernels* kernels;
};
std::span<const LowbitRow> lowbit_table();
/// The best row at or below `isa`.
const LowbitKernels& lowbit_kernels(Isa isa);

}  // namespace lowbit::kernels
