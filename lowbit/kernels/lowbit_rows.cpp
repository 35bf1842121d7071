#include "lowbit/kernels/lowbit_rows.h"

#include <algorithm>
#include <cstring>

namespace lowbit::kernels {
namespace {

/// Flips the top bit of every byte, eight at a time: `count` is a multiple of 8.
void flip_bytes(int8_t* row, int64_t count) {
  for (int64_t i = 0; i < count; i += 8) {
    uint64_t word;
    std::memcpy(&word, row + i, sizeof word);
    word ^= 0x8080808080808080u;
    std::memcpy(row + i, &word, sizeof word);
  }
}

void gather_row(const LowbitGather& g, int64_t pixel, int8_t* row) {
  const QLayerShape& s = *g.shape;
  const int64_t channels = s.in_channels, column = pixel % s.out_width, rest = pixel / s.out_width,
                image = rest / s.out_height;
  const int64_t y0 = rest % s.out_height * s.stride_h - s.pad_top, x0 = column * s.stride_w - s.pad_left;
  const auto outside = static_cast<uint8_t>(static_cast<uint8_t>(g.outside) ^ g.flip);
  const bool runs = s.dilation_w == 1 && g.input_stride == channels && x0 >= 0 && x0 + s.kernel_w <= s.width;
  int8_t* to = row;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    const int64_t y = y0 + ky * s.dilation_h;
    const uint8_t* line = g.input + (image * s.height + y) * s.width * g.input_stride;
    const bool inside = y >= 0 && y < s.height;
    if (!inside || runs) {
      const auto bytes = static_cast<size_t>(s.kernel_w * channels);
      if (inside)
        std::memcpy(to, line + x0 * g.input_stride, bytes);
      else
        std::memset(to, outside, bytes);
      to += bytes;
      continue;
    }
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, to += channels) {
      const int64_t x = x0 + kx * s.dilation_w;
      if (x >= 0 && x < s.width)
        std::memcpy(to, line + x * g.input_stride, static_cast<size_t>(channels));
      else
        std::memset(to, outside, static_cast<size_t>(channels));
    }
  }
  const auto length = to - row;
  if (g.flip) flip_bytes(row, (length + 7) / 8 * 8);
  std::memset(to, 0, static_cast<size_t>(g.padded_k - length));
}

}  // namespace

void lowbit_gather_rows(const LowbitGather& gather, int64_t begin, int64_t end, int8_t* rows) noexcept {
  for (int64_t pixel = begin; pixel < end; ++pixel) gather_row(gather, pixel, rows + (pixel - begin) * gather.padded_k);
}

}  // namespace lowbit::kernels
