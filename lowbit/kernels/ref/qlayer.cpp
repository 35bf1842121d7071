// The layer as its formula says. Packed: header, bias, factors, weights [out][kernel_h][kernel_w][in of the group].
#include "lowbit/kernels/qlayer.h"

#include "lowbit/kernels/qlayer_packed.h"
#include "lowbit/kernels/ref/ref.h"
#include "lowbit/kernels/ref/scalar.h"

namespace lowbit::kernels::ref {
namespace {

bool offers(const QLayerShape&, Code input) { return input == Code::u8 || input == Code::s8; }

QLayerGrain grain(const QLayerShape&) { return {1, 1}; }

int64_t taps(const QLayerShape& shape) { return shape.kernel_h * shape.kernel_w * shape.group_in(); }

size_t packed_bytes(const QLayerShape& shape, Code output) {
  return lay_out(shape.out_channels, output, static_cast<size_t>(shape.out_channels * taps(shape)), nullptr);
}

bool packed_fits(const QLayerShape& shape, Code output, const void* packed) {
  return is_laid_out(shape.out_channels, output, packed);
}

void pack(const QLayerShape& shape, const QLayerWeights& weights, Code output, void* packed) {
  auto* header = static_cast<QPackedHeader*>(packed);
  *header = {};
  lay_out(shape.out_channels, output, 0, header);
  header->zero_point = weights.zero_point_in;
  header->input = weights.input;
  char* base = static_cast<char*>(packed);
  auto* bias = reinterpret_cast<int32_t*>(base + header->bias_offset);
  auto* codes = reinterpret_cast<int8_t*>(base + header->weight_offset);
  for (int64_t o = 0; o < shape.out_channels; ++o) {
    bias[o] = weights.bias ? weights.bias[o] : 0;
    if (weights.factors) reinterpret_cast<float*>(base + header->factor_offset)[o] = weights.factors[o];
    if (weights.scales) reinterpret_cast<double*>(base + header->factor_offset)[o] = weights.scales[o];
    for (int64_t y = 0; y < shape.kernel_h; ++y)
      for (int64_t x = 0; x < shape.kernel_w; ++x)
        for (int64_t i = 0; i < shape.group_in(); ++i)
          *codes++ =
              weights
                  .codes[o * weights.stride_out + i * weights.stride_in + y * weights.stride_y + x * weights.stride_x];
  }
}

size_t scratch_bytes(const QLayerShape&) { return 0; }

int32_t accumulate(const QLayerCall& call, const QPackedHeader& header, int64_t pixel, int64_t channel) {
  const QLayerShape& s = *call.shape;
  const int64_t column = pixel % s.out_width, row = pixel / s.out_width % s.out_height,
                image = pixel / (s.out_width * s.out_height);
  const int64_t first = channel / s.group_out() * s.group_in();
  const int8_t* w = section<int8_t>(call.packed, header.weight_offset) + channel * taps(s);
  auto acc = static_cast<uint32_t>(section<int32_t>(call.packed, header.bias_offset)[channel]);
  for (int64_t ky = 0; ky < s.kernel_h; ++ky)
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, w += s.group_in()) {
      const int64_t y = row * s.stride_h - s.pad_top + ky * s.dilation_h;
      const int64_t x = column * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
      const int64_t at = ((image * s.height + y) * s.width + x) * call.input_stride + first;
      for (int64_t i = 0; i < s.group_in(); ++i)
        acc += static_cast<uint32_t>((load_code(call.input, at + i, header.input) - header.zero_point) * w[i]);
    }
  return static_cast<int32_t>(acc);
}

int32_t with_residual(const QResidual& add, int32_t code, int64_t pixel, int64_t channel) {
  const int32_t other = load_code(add.other, pixel * add.other_stride + channel, add.other_type);
  const int32_t a = add.layer_first ? code : other, b = add.layer_first ? other : code;
  return add_codes(a, b, add.r_a, add.r_b, add.f, add.low, add.high);
}

void run(const QLayerCall& call) noexcept {
  const auto& header = *static_cast<const QPackedHeader*>(call.packed);
  const float* factors = section<float>(call.packed, header.factor_offset);
  const double* scales = section<double>(call.packed, header.factor_offset);
  const QOutput& out = call.out;
  for (int64_t p = call.pixel_begin; p < call.pixel_end; ++p)
    for (int64_t c = call.channel_begin; c < call.channel_end; ++c) {
      const int32_t acc = accumulate(call, header, p, c);
      const int64_t at = p * call.output_stride + c;
      if (out.type == Code::s32) {
        static_cast<int32_t*>(call.output)[at] = acc;
      } else if (out.type == Code::f32) {
        static_cast<float*>(call.output)[at] = static_cast<float>(static_cast<double>(acc) * scales[c]);
      } else {
        int32_t code = to_code(static_cast<float>(acc) * factors[c], out.zero_point, out.low, out.high);
        if (out.residual) code = with_residual(*out.residual, code, p, c);
        store_code(call.output, at, out.type, code);
      }
    }
}

}  // namespace

const QLayerKernel qlayer_kernel = {"qlayer-ref", "plain loops", Isa::ref,    offers,        grain,
                                    packed_bytes, pack,          packed_fits, scratch_bytes, run};

}  // namespace lowbit::kernels::ref
