// float_layer.h: matrix products and convolutions in float32 on the geometry of qlayer.h (channels last), for the
// layers that a low-bit network keeps in float. Weights are packed once and may be stored as float16 or bfloat16;
// activations and sums are float32. float_tile.h says which operations make a result: the same bits for every
// instruction set, number of threads and split.
//
// Use: float_layer_pack once; run_float_layer for a slice of pixels and output channels, noexcept, without allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lowbit/kernels/float_math.h"
#include "lowbit/kernels/float_tile.h"
#include "lowbit/kernels/lowbit_product.h"
#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels {

/// Bytes of packed weights: for each group, its output channels in blocks of 16, as [block][tap][in][16]; depthwise
/// layers (one input and one output channel per group) as float32 [tap][channel].
size_t float_layer_packed_bytes(const QLayerShape& shape, FloatStorage storage);
/// Weight (o, i, y, x) at weights[o * stride_out + i * stride_in + y * stride_y + x * stride_x]. Rounds to nearest even
/// into the storage; a value that float16 cannot hold becomes infinity.
struct FloatWeights {
  const float* values;
  int64_t stride_out, stride_in, stride_y, stride_x;
};
void float_layer_pack(const QLayerShape& shape, const FloatWeights& weights, FloatStorage storage, void* packed);

/// Weights that stay packed in few bits: rows are the output channels, k runs [tap][in]. They are decoded panel by
/// panel into the scratch memory, scale * level rounded to float32 (lowbit_decode.h). One group, and as many input
/// channels as float_layer_decodes() asks for.
struct FloatLowbitWeights {
  LowbitMatrix matrix;                 ///< with scales
  const float* real_levels = nullptr;  ///< [16], in place of integer levels
};
/// Whether a layer of this shape can take such weights.
bool float_layer_decodes(const QLayerShape& shape);

struct FloatLayerCall {
  const QLayerShape* shape;
  FloatStorage storage = FloatStorage::f32;
  const void* packed;
  const FloatLowbitWeights* lowbit = nullptr;  ///< in place of `packed`, with `storage` f32
  const float* bias = nullptr;                 ///< [out_channels], or null
  float low = -__builtin_inff(), high = __builtin_inff();
  const float* input;
  int64_t input_stride;  ///< elements between pixels
  float* output;
  int64_t output_stride;
  int64_t pixel_begin, pixel_end;
  int64_t channel_begin,
      channel_end;  ///< begin a multiple of 16 within its group, or a group's first channel; end alike, or the last
  void* scratch;    ///< float_layer_scratch_bytes, 64-byte aligned, one per thread
};
size_t float_layer_scratch_bytes(const QLayerShape& shape);
void run_float_layer(const FloatLayerCall& call, Isa isa) noexcept;

struct FloatRow {
  Isa isa;
  const FloatKernels* kernels;
  const FloatMathKernels* math;
};
/// One row per compiled instruction set that has functions of its own.
std::span<const FloatRow> float_table();
/// The best row at or below `isa`.
const FloatRow& float_row(Isa isa);

}  // namespace lowbit::kernels
