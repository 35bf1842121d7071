#include "lowbit/kernels/qpool.h"

#include "lowbit/kernels/ref/ref.h"
#include "lowbit/kernels/ref/scalar.h"

namespace lowbit::kernels::ref {
namespace {

/// Calls visit(element index of channel 0) for each tap of output pixel p that lies inside the input.
template <typename Visit>
void for_each_tap(const QPoolCall& call, int64_t p, Visit visit) {
  const QLayerShape& s = *call.shape;
  const int64_t column = p % s.out_width, row = p / s.out_width % s.out_height,
                image = p / (s.out_width * s.out_height);
  for (int64_t ky = 0; ky < s.kernel_h; ++ky)
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
      const int64_t y = row * s.stride_h - s.pad_top + ky * s.dilation_h;
      const int64_t x = column * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
      visit(((image * s.height + y) * s.width + x) * call.input_stride);
    }
}

void max_pool(const QPoolCall& call, Code type) noexcept {
  for (int64_t p = call.pixel_begin; p < call.pixel_end; ++p)
    for (int64_t c = 0; c < call.channels; ++c) {
      int32_t largest = type == Code::u8 ? 0 : -128;
      for_each_tap(call, p, [&](int64_t at) {
        const int32_t x = load_code(call.input, at + c, type);
        largest = x > largest ? x : largest;
      });
      store_code(call.output, p * call.output_stride + c, type, largest);
    }
}

float factor(const QAverage& average, int64_t n) {
  return average.scale_in / (average.scale_out * static_cast<float>(n));
}

int32_t mean_code(const QAverage& average, int64_t sum, float m) {
  return to_code(static_cast<double>(sum) * static_cast<double>(m), average.zero_out, average.low, average.high);
}

void average_pool(const QPoolCall& call, Code in, Code out, const QAverage& average) noexcept {
  for (int64_t p = call.pixel_begin; p < call.pixel_end; ++p)
    for (int64_t c = 0; c < call.channels; ++c) {
      int64_t sum = 0, n = 0;
      for_each_tap(call, p, [&](int64_t at) {
        sum += load_code(call.input, at + c, in) - average.zero_in;
        ++n;
      });
      if (average.count_padding) n = call.shape->kernel_h * call.shape->kernel_w;
      store_code(call.output, p * call.output_stride + c, out, mean_code(average, sum, factor(average, n)));
    }
}

void global_average(int64_t pixels, int64_t begin, int64_t end, const void* input, int64_t input_stride, Code in,
                    void* output, Code out, const QAverage& average) noexcept {
  const float m = factor(average, pixels);
  for (int64_t c = begin; c < end; ++c) {
    int64_t sum = 0;
    for (int64_t p = 0; p < pixels; ++p) sum += load_code(input, p * input_stride + c, in) - average.zero_in;
    store_code(output, c, out, mean_code(average, sum, m));
  }
}

}  // namespace

const QPoolKernels qpool_kernels = {Isa::ref, max_pool, average_pool, global_average};

}  // namespace lowbit::kernels::ref
