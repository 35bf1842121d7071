// qpool.h: pooling on 8-bit codes, channels last. docs/integer-semantics.md, "Pooling, means".
#pragma once

#include "lowbit/kernels/cpu.h"
#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels {

/// A window over each channel by itself: in_channels == out_channels == groups of `shape` is not looked at, `channels`
/// is. Slices are output pixels, any begin and end.
struct QPoolCall {
  const QLayerShape* shape;  ///< images, height, width, kernel_*, stride_*, dilation_*, pad_*, out_*
  int64_t channels;
  const void* input;
  int64_t input_stride;  ///< elements between pixels
  void* output;
  int64_t output_stride;
  int64_t pixel_begin, pixel_end;
};

/// Average: y = min(max(rne(sum (x - z_x) * m) + z_y, low), high) from the exact product. n, the number of elements, is
/// kernel_h * kernel_w if padding counts (it contributes 0), else the elements inside the input, of which there is at
/// least one. m = fl32(s_x / fl32(s_y * n)).
struct QAverage {
  float scale_in, scale_out;
  int32_t zero_in, zero_out, low, high;
  bool count_padding;
};

struct QPoolKernels {
  Isa isa;
  /// Largest code of each window; padding never wins. type: u8 or s8, of input and output.
  void (*max)(const QPoolCall& call, Code type) noexcept;
  /// Windows of at most 2^16 elements.
  void (*average)(const QPoolCall& call, Code in, Code out, const QAverage& average) noexcept;
  /// Mean over `pixels` <= 2^20 pixels of one image: input [pixels][channels] (stride as given) -> output [channels],
  /// for the channels [begin, end). count_padding is not looked at. Slice over channels in multiples of 64.
  void (*global_average)(int64_t pixels, int64_t begin, int64_t end, const void* input, int64_t input_stride, Code in,
                         void* output, Code out, const QAverage& average) noexcept;
};

/// One row per compiled instruction set.
std::span<const QPoolKernels> qpool_table();
const QPoolKernels& qpool(Isa isa = active_isa());

}  // namespace lowbit::kernels
