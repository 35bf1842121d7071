#include "lowbit/kernels/float_layer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "lowbit/base/small_floats.h"

namespace lowbit::kernels {
namespace {

struct FloatCase {
  QLayerShape shape;
  FloatStorage storage = FloatStorage::f32;
  std::vector<float> weights, bias, x;
  std::vector<uint8_t> packed;

  /// As it is stored.
  float weight(int64_t o, int64_t i, int64_t tap) const {
    const float value =
        weights[static_cast<size_t>((o * shape.group_in() + i) * shape.kernel_h * shape.kernel_w + tap)];
    const bool depthwise = shape.groups > 1 && shape.group_in() == 1 && shape.group_out() == 1;
    if (depthwise || storage == FloatStorage::f32) return value;
    return storage == FloatStorage::f16 ? half_to_float(float_to_half(value))
                                        : bfloat16_to_float(float_to_bfloat16(value));
  }
  size_t outputs() const { return static_cast<size_t>(shape.pixels() * shape.out_channels); }
};

QLayerShape any_shape() {
  QLayerShape s;
  const auto below = [](int64_t least, int64_t end) { return *rc::gen::inRange<int64_t>(least, end); };
  s.images = below(1, 3);
  s.height = below(1, 9);
  s.width = below(1, 9);
  s.groups = *rc::gen::element<int64_t>(1, 1, 2, 3);
  int64_t in = below(1, 40), out = below(1, 40);
  if (below(0, 4) == 0) {
    s.groups = below(2, 70);
    in = out = 1;
  }
  s.in_channels = in * s.groups;
  s.out_channels = out * s.groups;
  s.kernel_h = below(1, 4);
  s.kernel_w = below(1, 4);
  s.stride_h = below(1, 3);
  s.stride_w = below(1, 3);
  s.dilation_h = below(1, 3);
  s.dilation_w = below(1, 3);
  s.pad_top = below(0, 3);
  s.pad_left = below(0, 3);
  s.out_height = below(1, 5);
  s.out_width = below(1, 9);
  return s;
}

FloatCase make_case(const QLayerShape& shape, FloatStorage storage, uint32_t seed) {
  FloatCase c;
  c.shape = shape;
  c.storage = storage;
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> some(-1, 1);
  const auto fill = [&](std::vector<float>& v, int64_t n) {
    v.resize(static_cast<size_t>(n));
    for (float& value : v) value = some(rng);
  };
  fill(c.weights, shape.out_channels * shape.group_in() * shape.kernel_h * shape.kernel_w);
  fill(c.bias, shape.out_channels);
  fill(c.x, shape.images * shape.height * shape.width * shape.in_channels);
  c.packed.resize(float_layer_packed_bytes(shape, storage));
  const int64_t taps = shape.kernel_h * shape.kernel_w;
  float_layer_pack(shape, {c.weights.data(), shape.group_in() * taps, taps, shape.kernel_w, 1}, storage,
                   c.packed.data());
  return c;
}

/// The chain of float_tile.h for one output.
float expected_value(const FloatCase& c, int64_t pixel, int64_t o) {
  const QLayerShape& s = c.shape;
  const int64_t ox = pixel % s.out_width, oy = pixel / s.out_width % s.out_height,
                image = pixel / s.out_width / s.out_height;
  const int64_t group = o / s.group_out();
  float chain = c.bias[static_cast<size_t>(o)];
  for (int64_t tap = 0; tap < s.kernel_h * s.kernel_w; ++tap) {
    const int64_t y = oy * s.stride_h - s.pad_top + tap / s.kernel_w * s.dilation_h;
    const int64_t x = ox * s.stride_w - s.pad_left + tap % s.kernel_w * s.dilation_w;
    const bool inside = y >= 0 && y < s.height && x >= 0 && x < s.width;
    for (int64_t i = 0; i < s.group_in(); ++i) {
      const int64_t at = ((image * s.height + y) * s.width + x) * s.in_channels + group * s.group_in() + i;
      chain = std::fma(inside ? c.x[static_cast<size_t>(at)] : 0.0f, c.weight(o, i, tap), chain);
    }
  }
  return std::min(std::max(chain, -1.5f), 2.0f);
}

std::vector<float> run(const FloatCase& c, Isa isa, int64_t pixels_at_once, int64_t channels_at_once) {
  std::vector<float> y(c.outputs(), 99.0f);
  std::vector<uint64_t> scratch(float_layer_scratch_bytes(c.shape) / 8 + 8);
  FloatLayerCall call = {};
  call.shape = &c.shape;
  call.storage = c.storage;
  call.packed = c.packed.data();
  call.bias = c.bias.data();
  call.low = -1.5f;
  call.high = 2.0f;
  call.input = c.x.data();
  call.input_stride = c.shape.in_channels;
  call.output = y.data();
  call.output_stride = c.shape.out_channels;
  call.scratch = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  for (int64_t p = 0; p < c.shape.pixels(); p += pixels_at_once)
    for (int64_t n = 0; n < c.shape.out_channels; n += channels_at_once) {
      call.pixel_begin = p;
      call.pixel_end = std::min(c.shape.pixels(), p + pixels_at_once);
      call.channel_begin = n;
      call.channel_end = std::min(c.shape.out_channels, n + channels_at_once);
      run_float_layer(call, isa);
    }
  return y;
}

TEST(FloatLayer, EveryInstructionSetGivesTheStatedChain) {
  EXPECT_TRUE(rc::check([] {
    const auto storage = *rc::gen::element(FloatStorage::f32, FloatStorage::f16, FloatStorage::bf16);
    const FloatCase c = make_case(any_shape(), storage, *rc::gen::arbitrary<uint32_t>());
    for (const FloatRow& row : float_table()) {
      if (!isa_row(row.isa).supported) continue;
      const std::vector<float> y = run(c, row.isa, c.shape.pixels(), c.shape.out_channels);
      for (size_t i = 0; i < y.size(); ++i)
        RC_ASSERT(y[i] == expected_value(c, static_cast<int64_t>(i) / c.shape.out_channels,
                                         static_cast<int64_t>(i) % c.shape.out_channels));
    }
  }));
}

TEST(FloatLayer, DoesNotDependOnTheSlices) {
  EXPECT_TRUE(rc::check([] {
    QLayerShape shape = any_shape();
    shape.groups = 1;
    const FloatCase c = make_case(shape, FloatStorage::f32, *rc::gen::arbitrary<uint32_t>());
    RC_ASSERT(run(c, active_isa(), c.shape.pixels(), c.shape.out_channels) == run(c, active_isa(), 5, 16));
  }));
}

TEST(FloatLayer, LongSumsInSeveralPassesKeepTheChain) {
  for (FloatStorage storage : {FloatStorage::f32, FloatStorage::f16, FloatStorage::bf16}) {
    QLayerShape shape = qgemm_shape(7, 33, 1500);
    const FloatCase product = make_case(shape, storage, 7);
    for (const FloatRow& row : float_table()) {
      if (!isa_row(row.isa).supported) continue;
      const std::vector<float> y = run(product, row.isa, 7, 33);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(y[i], expected_value(product, static_cast<int64_t>(i) / 33, static_cast<int64_t>(i) % 33));
    }
  }
}

}  // namespace
}  // namespace lowbit::kernels
