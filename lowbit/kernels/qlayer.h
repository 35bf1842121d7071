// qlayer.h: layers with constant 8-bit weights: matrix product, convolution (any kernel, stride, dilation, padding,
// groups; 1-D with height 1) and depthwise convolution, with everything that follows the sum fused: bias,
// requantization, activation limits, residual addition. docs/integer-semantics.md is the definition; every kernel gives
// exactly its bits.
//
//   acc[p][c] = B[c] + sum over taps and input channels of (x - z_x) * w      (exact, int32)
//   y[p][c]   = min(max(rne(fl32(fl32(acc) * m[c])) + z_y, low), high)        for code outputs
//
// Activations are channels last: pixel p = (image * height + row) * width + column is at x + p * pixel_stride, its
// channels contiguous. A matrix product C[m][n] = A[m][k] W[n][k] is the layer of qgemm_shape(m, n, k): the pixels are
// the rows. Weights are packed once for a kernel (the packed form depends on the kernel row, not on the number of
// pixels or the size of the image), and a call computes a slice of pixels and channels, so that the caller splits the
// work over threads as it likes: results do not depend on the split.
//
// Use:   kernel = select_qlayer(shape, input, output)          at planning
//        qlayer_pack(kernel, shape, weights, packed)           once; `packed` may be stored and mapped again
//        kernel.run(call)                                      per inference, per slice; noexcept, no allocation
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lowbit/kernels/cpu.h"

namespace lowbit::kernels {

/// What an element is. s32: the bare accumulator. f32: float32(double(acc) * scale[c]).
enum class Code : uint8_t { u8, s8, u16, s16, s32, f32 };

// Functions of these headers are inlined always, so that no object of an instruction set carries a copy that the linker
// could take for everybody.
[[gnu::always_inline]] inline size_t code_bytes(Code type) {
  return type == Code::u8 || type == Code::s8 ? 1 : type == Code::u16 || type == Code::s16 ? 2 : 4;
}

/// Kernels read activations in whole vectors: this many bytes behind the last element of an input (and of a residual
/// operand) must be readable; what they hold does not matter. Nothing is ever written outside the slice.
inline constexpr size_t kReadSlack = 64;

/// Packed weights, scratch: aligned to this. Activations need no alignment.
inline constexpr size_t kAlignment = 64;

struct QLayerShape {
  int64_t images = 1, height = 1, width = 1;  ///< input
  int64_t in_channels = 0, out_channels = 0;
  int64_t groups = 1;  ///< divides both; groups == in_channels is a depthwise convolution (multiplier = out / in)
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;  ///< what lies beyond the input on any side counts as code z_x
  int64_t out_height = 1, out_width = 1;

  [[gnu::always_inline]] int64_t pixels() const { return images * out_height * out_width; }
  [[gnu::always_inline]] int64_t group_in() const { return in_channels / groups; }
  [[gnu::always_inline]] int64_t group_out() const { return out_channels / groups; }
};

/// C[m][n] = A[m][k] * W[n][k].
inline QLayerShape qgemm_shape(int64_t m, int64_t n, int64_t k) {
  QLayerShape shape;
  shape.width = shape.out_width = m;
  shape.in_channels = k;
  shape.out_channels = n;
  return shape;
}

/// Everything constant of a layer, as qlayer_pack reads it. Weight (o, i, y, x), with i counted inside the group, is
/// at codes[o * stride_out + i * stride_in + y * stride_y + x * stride_x]: any order of the axes.
struct QLayerWeights {
  const int8_t* codes;  ///< codes minus their zero point, which must fit int8
  int64_t stride_out, stride_in, stride_y, stride_x;
  const int32_t* bias;    ///< B[out_channels], or null for zeros
  const float* factors;   ///< m[out_channels] >= 0, finite; null unless the output is u8, s8, u16, s16
  const double* scales;   ///< [out_channels]; null unless the output is f32
  int32_t zero_point_in;  ///< z_x
  Code input;             ///< u8 or s8
};
/// Strides of ONNX's order [out][in / groups][kernel_h][kernel_w].
void set_onnx_strides(const QLayerShape& shape, QLayerWeights& weights);

/// A residual addition on the codes, fused behind the layer ("Add" of docs/integer-semantics.md). With L the code of
/// the layer and R that of `other` at the same pixel and channel, (a, b) = layer_first ? (L, R) : (R, L):
///   y = min(max(rne(fma(a, r_a, fma(b, r_b, f))), low), high)
struct QResidual {
  const void* other;
  Code other_type;       ///< u8 or s8
  int64_t other_stride;  ///< elements between pixels
  bool layer_first;
  float r_a, r_b, f;
  int32_t low, high;  ///< limits of the sum's codes
};

struct QOutput {
  Code type;
  int32_t zero_point = 0, low = 0,
          high = 0;  ///< code outputs: z_y and the limits, of the layer itself if there is a residual
  const QResidual* residual = nullptr;  ///< u8 and s8 outputs only; `type` is then that of the sum
};

/// One slice. Pixels and channels are half-open ranges; a begin must be a multiple of the grain of the kernel, an end
/// as well unless it is the last pixel or channel. `other` of the residual may be the output itself (exactly the same
/// elements); otherwise the output overlaps nothing. `x` may not overlap the output.
struct QLayerCall {
  const QLayerShape* shape;
  const void* packed;
  const void* input;
  int64_t input_stride;  ///< elements between pixels, >= in_channels
  void* output;
  int64_t output_stride;  ///< elements between pixels, >= out_channels
  QOutput out;
  int64_t pixel_begin, pixel_end, channel_begin, channel_end;
  void* scratch;  ///< qlayer_scratch_bytes, aligned, one per thread; contents do not matter before and after
};

struct QLayerGrain {
  int64_t pixels, channels;
};

struct QLayerKernel {
  const char* name;  ///< unique, also names the packed layout: weights packed for a name fit that name for ever
  const char* summary;
  Isa isa;
  bool (*offers)(const QLayerShape& shape, Code input);  ///< preconditions, checked by the selector
  QLayerGrain (*grain)(const QLayerShape& shape);
  size_t (*packed_bytes)(const QLayerShape& shape, Code output);
  void (*pack)(const QLayerShape& shape, const QLayerWeights& weights, Code output, void* packed);
  /// Whether packed_bytes() bytes from a file can be run: no number in them leads out of them. Wrong weights still can.
  bool (*packed_fits)(const QLayerShape& shape, Code output, const void* packed);
  size_t (*scratch_bytes)(const QLayerShape& shape);
  void (*run)(const QLayerCall& call) noexcept;
};

/// All kernels of this build, whatever the machine has; the best of an instruction set first.
std::span<const QLayerKernel> qlayer_table();

/// The first kernel of `isa` (or of a lower level of the same machines) that offers this shape; there always is one.
/// The precondition of the sum is the caller's: |B| + sum |w| max|x - z_x| < 2^31 for every channel.
const QLayerKernel& select_qlayer(const QLayerShape& shape, Code input, Isa isa = active_isa());

/// The kernel of a name, or null: to run weights that were packed earlier.
const QLayerKernel* find_qlayer(std::string_view name);

}  // namespace lowbit::kernels
