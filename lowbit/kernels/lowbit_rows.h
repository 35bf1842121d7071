// lowbit_rows.h: rows of int8 activations for lowbit_product.h, gathered from codes that lie channels last: one row per
// output pixel of a convolution, in the order [kernel row][kernel column][channel], or one row of a matrix.
#pragma once

#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels {

struct LowbitGather {
  const QLayerShape* shape;  ///< one group
  const uint8_t* input;      ///< codes; pixel p at input + p * input_stride
  int64_t input_stride;
  uint8_t flip;      ///< 0x80 makes int8 of uint8 codes (the value less 128), 0 leaves int8 codes as they are
  int8_t outside;    ///< what lies beyond the image, flipped already
  int64_t padded_k;  ///< a multiple of 8, at least kernel_h * kernel_w * in_channels
};

/// Whether a row needs no gathering: a dense matrix of int8 codes whose rows are padded_k long.
inline bool lowbit_rows_lie_ready(const LowbitGather& g) {
  const QLayerShape& s = *g.shape;
  return g.flip == 0 && s.kernel_h == 1 && s.kernel_w == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_top == 0 &&
         s.pad_left == 0 && s.out_height == s.height && s.out_width == s.width && g.padded_k == s.in_channels;
}

/// Rows of the output pixels [begin, end): rows[pixel - begin][padded_k], zero behind the last channel of the last tap.
void lowbit_gather_rows(const LowbitGather& gather, int64_t begin, int64_t end, int8_t* rows) noexcept;

}  // namespace lowbit::kernels
