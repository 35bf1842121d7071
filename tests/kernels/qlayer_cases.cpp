#include "tests/kernels/qlayer_cases.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace lowbit::kernels {
namespace {

int64_t between(Random& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
}

struct Limits {
  int32_t low, high;
};
Limits limits(Code type) {
  switch (type) {
    case Code::u8:
      return {0, 255};
    case Code::s8:
      return {-128, 127};
    case Code::u16:
      return {0, 65535};
    default:
      return {-32768, 32767};
  }
}

struct Free {
  void operator()(void* data) const { std::free(data); }
};
/// Exactly `size` bytes with the alignment that kernels ask for.
std::unique_ptr<void, Free> aligned(size_t size) {
  void* data = nullptr;
  if (posix_memalign(&data, kAlignment, size ? size : 1) != 0) std::abort();
  std::memset(data, 0x5A, size);
  return std::unique_ptr<void, Free>(data);
}

int64_t taps(const QLayerShape& shape) { return shape.kernel_h * shape.kernel_w * shape.group_in(); }

uint8_t fill_byte(Fill fill, Code type, Random& random, size_t i) {
  const bool top = fill == Fill::maximum || (fill == Fill::alternating && i % 2);
  if (fill == Fill::random) return static_cast<uint8_t>(random.below(256));
  return static_cast<uint8_t>(top ? limits(type).high : limits(type).low);
}

void fill_outputs(LayerCase& layer, Random& random) {
  const bool codes = layer.output != Code::f32 && layer.output != Code::s32;
  const Limits all = codes ? limits(layer.output) : Limits{0, 0};
  layer.out = {.type = layer.output, .zero_point = static_cast<int32_t>(between(random, all.low, all.high))};
  layer.out.low = random.below(2) ? all.low : layer.out.zero_point;
  layer.out.high = random.below(2) ? all.high : static_cast<int32_t>(between(random, layer.out.low, all.high));
  if (!layer.has_residual) return;
  layer.residual = {.other = nullptr,
                    .other_type = random.below(2) ? Code::u8 : Code::s8,
                    .other_stride = layer.other_stride,
                    .layer_first = random.below(2) == 0,
                    .r_a = 0.1f + static_cast<float>(random.below(1000)) * 1e-3f,
                    .r_b = 0.1f + static_cast<float>(random.below(1000)) * 1e-3f,
                    .f = static_cast<float>(between(random, -200, 200)) * 0.37f,
                    .low = all.low,
                    .high = all.high};
}

}  // namespace

void fill_case(LayerCase& layer, Fill fill, Random& random) {
  const QLayerShape& s = layer.shape;
  layer.input_stride = s.in_channels + between(random, 0, 5) % 3;
  layer.output_stride = s.out_channels + between(random, 0, 5) % 3;
  layer.other_stride = s.out_channels + between(random, 0, 5) % 3;
  const int64_t elements = (s.images * s.height * s.width - 1) * layer.input_stride + s.in_channels;
  layer.x.resize(static_cast<size_t>(elements) + kReadSlack);
  for (size_t i = 0; i < layer.x.size(); ++i) layer.x[i] = fill_byte(fill, layer.input, random, i);
  layer.other.resize(static_cast<size_t>(s.pixels() * layer.other_stride) + kReadSlack);
  for (uint8_t& code : layer.other) code = static_cast<uint8_t>(random.below(256));
  layer.weights.resize(static_cast<size_t>(s.out_channels * taps(s)));
  for (size_t i = 0; i < layer.weights.size(); ++i)
    layer.weights[i] = static_cast<int8_t>(fill_byte(fill, Code::s8, random, i));
  const Limits in = limits(layer.input);
  layer.zero_in = fill == Fill::random ? static_cast<int32_t>(between(random, in.low, in.high))
                                       : (random.below(2) ? in.low : in.high);
  layer.bias.clear(), layer.factors.clear(), layer.scales.clear();
  for (int64_t c = 0; c < s.out_channels; ++c) {
    layer.bias.push_back(static_cast<int32_t>(between(random, -20000, 20000)));
    // Mostly such that results spread over the codes; sometimes far too large, so that conversions would overflow.
    const double typical =
        std::pow(2.0, -static_cast<double>(between(random, 2, 14))) * (1 + 1e-6 * double(between(random, 0, 999999)));
    layer.factors.push_back(static_cast<float>(random.below(20) ? typical : typical * 1e7));
    layer.scales.push_back(typical * 1e-3);
  }
  fill_outputs(layer, random);
}

QLayerShape random_shape(Random& random) {
  QLayerShape s;
  s.images = between(random, 1, 2);
  const int64_t family = between(random, 0, 5);
  if (family == 0) return qgemm_shape(between(random, 1, 40), between(random, 1, 140), between(random, 1, 150));
  s.height = between(random, 1, 3) == 1 ? 1 : between(random, 1, 12);
  s.width = between(random, 1, 14);
  s.kernel_h = s.height == 1 ? 1 : between(random, 1, 5);
  s.kernel_w = between(random, 1, 5);
  s.stride_h = between(random, 1, 3), s.stride_w = between(random, 1, 3);
  s.dilation_h = between(random, 1, 8) > 6 ? 2 : 1, s.dilation_w = between(random, 1, 8) > 6 ? 2 : 1;
  if (family == 1) s.kernel_h = s.kernel_w = 1;
  if (family >= 4) {  // depthwise, with the common sizes often
    if (random.below(2)) s.kernel_h = s.kernel_w = random.below(2) ? 3 : 5, s.dilation_h = s.dilation_w = 1;
    s.in_channels = s.groups = between(random, 1, 100);
    s.out_channels = s.groups * (random.below(4) ? 1 : between(random, 2, 3));
  } else if (family == 3) {
    s.groups = between(random, 2, 4);
    s.in_channels = s.groups * between(random, 1, 20);
    s.out_channels = s.groups * between(random, 1, 40);
  } else {
    s.in_channels = random.below(2) ? between(random, 1, 5) : between(random, 1, 80);
    s.out_channels = between(random, 1, 100);
  }
  s.pad_top = between(random, 0, (s.kernel_h - 1) * s.dilation_h);
  s.pad_left = between(random, 0, (s.kernel_w - 1) * s.dilation_w);
  const int64_t bottom = between(random, 0, 2), right = between(random, 0, 2);
  const auto extent = [](int64_t size, int64_t pads, int64_t kernel, int64_t dilation, int64_t stride) {
    const int64_t room = size + pads - (kernel - 1) * dilation - 1;
    return room < 0 ? int64_t{1} : room / stride + 1;
  };
  s.out_height = extent(s.height, s.pad_top + bottom, s.kernel_h, s.dilation_h, s.stride_h);
  s.out_width = extent(s.width, s.pad_left + right, s.kernel_w, s.dilation_w, s.stride_w);
  return s;
}

std::vector<uint8_t> run_layer(const QLayerKernel& kernel, const LayerCase& layer, int64_t slice_grains) {
  const QLayerShape& s = layer.shape;
  QLayerWeights weights{
      .codes = layer.weights.data(),
      .stride_out = 0,
      .stride_in = 0,
      .stride_y = 0,
      .stride_x = 0,
      .bias = layer.bias.data(),
      .factors = layer.output == Code::f32 || layer.output == Code::s32 ? nullptr : layer.factors.data(),
      .scales = layer.output == Code::f32 ? layer.scales.data() : nullptr,
      .zero_point_in = layer.zero_in,
      .input = layer.input};
  set_onnx_strides(s, weights);
  const auto packed = aligned(kernel.packed_bytes(s, layer.output));
  kernel.pack(s, weights, layer.output, packed.get());
  const auto scratch = aligned(kernel.scratch_bytes(s));
  const size_t element = code_bytes(layer.output);
  const auto size = static_cast<size_t>((s.pixels() - 1) * layer.output_stride + s.out_channels) * element;
  // On the heap by itself, so that sanitizers see a write beyond it.
  std::vector<uint8_t> y(size, 0xA5);
  QResidual residual = layer.residual;
  residual.other = layer.other.data();
  QLayerCall call{.shape = &s,
                  .packed = packed.get(),
                  .input = layer.x.data(),
                  .input_stride = layer.input_stride,
                  .output = y.data(),
                  .output_stride = layer.output_stride,
                  .out = layer.out,
                  .pixel_begin = 0,
                  .pixel_end = s.pixels(),
                  .channel_begin = 0,
                  .channel_end = s.out_channels,
                  .scratch = scratch.get()};
  call.out.residual = layer.has_residual ? &residual : nullptr;
  if (slice_grains == 0) {
    kernel.run(call);
    return y;
  }
  const QLayerGrain grain = kernel.grain(s);
  for (int64_t c = 0; c < s.out_channels; c += grain.channels * slice_grains)
    for (int64_t p = 0; p < s.pixels(); p += grain.pixels * slice_grains) {
      call.pixel_begin = p, call.pixel_end = std::min(s.pixels(), p + grain.pixels * slice_grains);
      call.channel_begin = c, call.channel_end = std::min(s.out_channels, c + grain.channels * slice_grains);
      kernel.run(call);
    }
  return y;
}

namespace {

int64_t exact_accumulator(const LayerCase& layer, int64_t pixel, int64_t channel) {
  const QLayerShape& s = layer.shape;
  int64_t acc = layer.bias[static_cast<size_t>(channel)];
  const int64_t out_row = pixel / s.out_width, image = out_row / s.out_height;
  for (int64_t i = 0; i < s.group_in(); ++i)
    for (int64_t ky = 0; ky < s.kernel_h; ++ky)
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        const int64_t y = out_row % s.out_height * s.stride_h + ky * s.dilation_h - s.pad_top;
        const int64_t x = pixel % s.out_width * s.stride_w + kx * s.dilation_w - s.pad_left;
        if (y < 0 || x < 0 || y >= s.height || x >= s.width) continue;
        const uint8_t byte = layer.x[static_cast<size_t>(((image * s.height + y) * s.width + x) * layer.input_stride +
                                                         channel / s.group_out() * s.group_in() + i)];
        const int64_t code = layer.input == Code::u8 ? int64_t{byte} : int64_t{static_cast<int8_t>(byte)};
        acc += (code - layer.zero_in) *
               layer.weights[static_cast<size_t>(((channel * s.group_in() + i) * s.kernel_h + ky) * s.kernel_w + kx)];
      }
  return acc;
}

int64_t limited(double rounded, int64_t zero, int64_t low, int64_t high) {
  const double code = rounded + static_cast<double>(zero);
  return code < static_cast<double>(low) ? low : code > static_cast<double>(high) ? high : static_cast<int64_t>(code);
}

int64_t expected_code(const LayerCase& layer, int64_t acc, int64_t pixel, int64_t channel) {
  const float product = static_cast<float>(acc) * layer.factors[static_cast<size_t>(channel)];
  const int64_t code = limited(std::nearbyint(product), layer.out.zero_point, layer.out.low, layer.out.high);
  if (!layer.has_residual) return code;
  const QResidual& add = layer.residual;
  const uint8_t byte = layer.other[static_cast<size_t>(pixel * layer.other_stride + channel)];
  const int64_t other = add.other_type == Code::u8 ? int64_t{byte} : int64_t{static_cast<int8_t>(byte)};
  const auto a = static_cast<float>(add.layer_first ? code : other),
             b = static_cast<float>(add.layer_first ? other : code);
  return limited(std::nearbyint(std::fma(a, add.r_a, std::fma(b, add.r_b, add.f))), 0, add.low, add.high);
}

template <typename T>
void put(std::vector<uint8_t>& bytes, int64_t at, T value) {
  std::memcpy(bytes.data() + static_cast<size_t>(at) * sizeof(T), &value, sizeof(T));
}

}  // namespace

std::vector<uint8_t> expected_layer(const LayerCase& layer) {
  const QLayerShape& s = layer.shape;
  std::vector<uint8_t> y(
      static_cast<size_t>((s.pixels() - 1) * layer.output_stride + s.out_channels) * code_bytes(layer.output), 0xA5);
  for (int64_t p = 0; p < s.pixels(); ++p)
    for (int64_t c = 0; c < s.out_channels; ++c) {
      const int64_t acc = exact_accumulator(layer, p, c), at = p * layer.output_stride + c;
      if (layer.output == Code::s32)
        put(y, at, static_cast<int32_t>(acc));
      else if (layer.output == Code::f32)
        put(y, at, static_cast<float>(static_cast<double>(acc) * layer.scales[static_cast<size_t>(c)]));
      else if (code_bytes(layer.output) == 2)
        put(y, at, static_cast<uint16_t>(expected_code(layer, acc, p, c)));
      else
        put(y, at, static_cast<uint8_t>(expected_code(layer, acc, p, c)));
    }
  return y;
}

std::string describe(const LayerCase& layer) {
  const QLayerShape& s = layer.shape;
  return fmt::format(
      "{}x{}x{}x{} -> {}x{}x{}, groups {}, kernel {}x{}, stride {}x{}, dilation {}x{}, pad {} {}, strides {} {}, types "
      "{} {}, "
      "zero {}, out {} [{}, {}], residual {}",
      s.images, s.height, s.width, s.in_channels, s.out_height, s.out_width, s.out_channels, s.groups, s.kernel_h,
      s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w, s.pad_top, s.pad_left, layer.input_stride,
      layer.output_stride, static_cast<int>(layer.input), static_cast<int>(layer.output), layer.zero_in,
      layer.out.zero_point, layer.out.low, layer.out.high, layer.has_residual);
}

}  // namespace lowbit::kernels
