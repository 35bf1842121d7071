// float_math.h: functions of float32 arrays, softmax, layer normalization and the cells of LSTM and GRU. Every function
// is a fixed sequence of IEEE operations (additions, multiplications, divisions, fused multiply-adds, roundings),
// written once in float_math_lanes.h and compiled for each instruction set, so results are the same bits on every
// machine.
//
// Largest errors against the exact function, over all float32 arguments (tests/kernels/float_math_test.cpp measures
// them):
//   exp 2 ulp; above 88.37 infinity, below -87.33 zero      sigmoid 3 ulp, below -87.33 zero
//   tanh 3 ulp      erf 3 ulp      gelu 4e-7 * max(1, |x|)
// NaN gives NaN. Arrays need no alignment; y may be x.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lowbit::kernels {

/// One step of LSTM cells 0 ... n - 1, gates in the order of ONNX (i, o, f, c); z = x[gate] + h[gate]:
///   i = sigmoid(z_i + p_i c)   f = couple ? 1 - i : sigmoid(z_f + p_f c)   g = tanh(z_c)
///   c' = fma(f, c, i g)        o = sigmoid(z_o + p_o c')                   h' = o tanh(c')
/// with every argument of sigmoid and tanh but the last limited to [-clip, clip], and terms with p fused.
struct LstmCells {
  int64_t n;
  const float* x[4];
  const float* h[4];
  const float* peephole[3];  ///< i, o, f; all null if there are none
  float clip;                ///< infinity: none
  bool couple;
  float* c;    ///< [n] old in, new out
  float* out;  ///< [n] h'
};

/// One step of GRU cells, gates z, r, h (ONNX):
///   z = sigmoid(x_z + h_z)   r = sigmoid(x_r + h_r)
///   linear:     fresh = tanh(fma(r, h_h, x_h)),  h_h = R_h state + bias
///   not linear: fresh = tanh(x_h + h_h),         h_h = R_h (r state) + bias, where `reset` gives r state
///   h' = fma(z, state - fresh, fresh)
struct GruCells {
  int64_t n;
  const float* x[3];
  const float* h[3];
  float clip;
  bool linear;
  const float* state;  ///< [n]
  float* out;          ///< [n] h' (cells) or r state (reset); may be `state`
};

struct FloatMathKernels {
  void (*exp)(int64_t n, const float* x, float* y) noexcept;
  void (*sigmoid)(int64_t n, const float* x, float* y) noexcept;
  void (*tanh)(int64_t n, const float* x, float* y) noexcept;
  void (*erf)(int64_t n, const float* x, float* y) noexcept;
  void (*gelu)(int64_t n, const float* x, float* y) noexcept;  ///< 0.5 x (1 + erf(x / sqrt(2)))
  /// y = e / sum(e), e = exp(x - max x), of each row. Sums run in 16 strided parts that are folded in halves.
  void (*softmax)(int64_t rows, int64_t n, const float* x, int64_t x_stride, float* y, int64_t y_stride) noexcept;
  /// y = fma((x - mean) * (1 / sqrt(variance + epsilon)), scale, bias); bias may be null (0).
  void (*layer_norm)(int64_t rows, int64_t n, const float* x, int64_t x_stride, const float* scale, const float* bias,
                     float epsilon, float* y, int64_t y_stride) noexcept;
  void (*lstm)(const LstmCells& cells) noexcept;
  void (*gru_reset)(const GruCells& cells) noexcept;
  void (*gru)(const GruCells& cells) noexcept;
};

namespace ref {
extern const FloatMathKernels float_math_kernels;
}
namespace avx2 {
extern const FloatMathKernels float_math_kernels;
}
namespace avx512 {
extern const FloatMathKernels float_math_kernels;
}
namespace neon {
extern const FloatMathKernels float_math_kernels;
}

}  // namespace lowbit::kernels
