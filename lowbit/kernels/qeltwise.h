// qeltwise.h: element-wise arithmetic on codes, conversion between codes and floats, tables, transposition.
// docs/integer-semantics.md, "Quantize and dequantize", "Element-wise", "Movement". All loops are over rows of `n`
// contiguous elements; a stride of 0 repeats one row (a channel vector over all pixels). Results are exact or a fixed
// sequence of float32 operations: the same bits on every instruction set. Any slice may be computed by itself.
#pragma once

#include "lowbit/kernels/cpu.h"
#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels {

/// An operand of `rows` rows; `stride` in elements between rows.
struct QOperand {
  const void* data;
  int64_t stride;
  Code type;  ///< u8, s8, u16, s16
};
struct QResult {
  void* data;
  int64_t stride;
  Code type;  ///< u8, s8, u16, s16
  int32_t low, high;
};

/// y = min(max(rne(fma(a, r_a, fma(b, r_b, f))), low), high) on the codes as they are.
struct QAddFactors {
  float r_a, r_b, f;
};
/// y = min(max(rne((a - z_a) (b - z_b) m) + z_y, low), high) from the exact product in double.
struct QMulFactors {
  int32_t zero_a, zero_b, zero_out;
  float m;
};
/// y = min(max(rne((x - z_x) m) + z_y, low), high) from the exact product in double.
struct QRequantizeFactors {
  int32_t zero_in, zero_out;
  float m;
};

struct QEltwiseKernels {
  Isa isa;
  /// y may be a or b (the same elements).
  void (*add)(int64_t rows, int64_t n, QOperand a, QOperand b, QResult y, QAddFactors factors) noexcept;
  /// a, b: u8 or s8.
  void (*mul)(int64_t rows, int64_t n, QOperand a, QOperand b, QResult y, QMulFactors factors) noexcept;
  /// For 8-bit codes a table (fill_requantize_table, then `table`) gives the same faster.
  void (*requantize)(int64_t rows, int64_t n, QOperand x, QResult y, QRequantizeFactors factors) noexcept;
  /// y[i] = table[x[i] as an unsigned byte]; x may be y.
  void (*table)(int64_t rows, int64_t n, const uint8_t* x, int64_t x_stride, uint8_t* y, int64_t y_stride,
                const uint8_t* table256) noexcept;
  /// y = min(max(rne(x / scale) + zero_point, low), high): one true float32 division; NaN gives zero_point.
  void (*quantize)(int64_t rows, int64_t n, const float* x, int64_t x_stride, QResult y, float scale,
                   int32_t zero_point) noexcept;
  /// y = float32(q - zero_point) * scale.
  void (*dequantize)(int64_t rows, int64_t n, QOperand x, float* y, int64_t y_stride, float scale,
                     int32_t zero_point) noexcept;
  /// out[column * out_stride + row] = in[row * in_stride + column]: [C][H*W] to [H*W][C] and back, strides in elements.
  void (*transpose8)(int64_t rows, int64_t columns, const uint8_t* in, int64_t in_stride, uint8_t* out,
                     int64_t out_stride) noexcept;
  void (*transpose32)(int64_t rows, int64_t columns, const uint32_t* in, int64_t in_stride, uint32_t* out,
                      int64_t out_stride) noexcept;
};

/// One row per compiled instruction set.
std::span<const QEltwiseKernels> qeltwise_table();
const QEltwiseKernels& qeltwise(Isa isa = active_isa());

/// table[x] of the requantization of 8-bit codes, indexed by the byte of the input code.
void fill_requantize_table(Code in, Code out, QRequantizeFactors factors, int32_t low, int32_t high, uint8_t* table256);

}  // namespace lowbit::kernels
