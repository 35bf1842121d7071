#include "lowbit/runtime/codes.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "lowbit/numbers/level_table.h"

namespace lowbit {
namespace {

constexpr int64_t kChunk = 1024;

template <typename F>
void with_code_type(DType type, F&& f) {
  switch (type) {
    case DType::uint8:
      return f(uint8_t{});
    case DType::int8:
      return f(int8_t{});
    case DType::uint16:
      return f(uint16_t{});
    case DType::int16:
      return f(int16_t{});
    default:
      LOWBIT_CHECK(type == DType::int32);
      return f(int32_t{});
  }
}

/// Values outside are clipped: half a step beyond the last codes of a linear system, beyond the last levels of others.
std::pair<float, float> representable(const Quantization& quantization) {
  const CodeRange range = quantization.codes();
  if (quantization.linear()) {
    const LinearParams params = quantization.linear_at(0);
    return {(static_cast<float>(range.min - params.zero_point) - 0.5f) * params.scale,
            (static_cast<float>(range.max - params.zero_point) + 0.5f) * params.scale};
  }
  float low = 0, high = 0;
  for (float level : level_values(quantization.format, quantization.params.data()))
    if (std::isfinite(level)) low = std::min(low, level), high = std::max(high, level);
  return {low, high};
}

}  // namespace

void load_codes(const Tensor& codes, int64_t begin, int64_t n, int32_t* out) {
  with_code_type(codes.dtype(), [&]<typename T>(T) {
    const T* x = codes.data<T>() + begin;
    for (int64_t i = 0; i < n; ++i) out[i] = x[i];
  });
}

void store_codes(const int32_t* values, int64_t begin, int64_t n, Tensor& codes) {
  with_code_type(codes.dtype(), [&]<typename T>(T) {
    T* y = codes.mutable_data<T>() + begin;
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(values[i]);
  });
}

Tensor quantize_activation(const Quantization& quantization, const Tensor& x, int64_t* clipped) {
  Tensor codes = Tensor::uninitialized(code_dtype(quantization), x.dims());
  const auto [low, high] = clipped ? representable(quantization) : std::pair(0.0f, 0.0f);
  // Other systems look levels up in a table that each call makes anew.
  const int64_t step = quantization.linear() ? kChunk : std::max<int64_t>(x.count(), 1);
  std::vector<int32_t> chunk(static_cast<size_t>(step));
  for (int64_t begin = 0; begin < x.count(); begin += step) {
    const int64_t n = std::min(step, x.count() - begin);
    const float* values = x.data<float>() + begin;
    encode(quantization.format, quantization.params.data(), values, n, chunk.data());
    store_codes(chunk.data(), begin, n, codes);
    if (clipped)
      for (int64_t i = 0; i < n; ++i) *clipped += values[i] < low || values[i] > high;
  }
  return codes;
}

Tensor dequantize_activation(const Quantization& quantization, const Tensor& codes) {
  Tensor x = Tensor::uninitialized(DType::float32, codes.dims());
  const int64_t step = quantization.linear() ? kChunk : std::max<int64_t>(x.count(), 1);
  std::vector<int32_t> chunk(static_cast<size_t>(step));
  float* y = x.mutable_data<float>();
  for (int64_t begin = 0; begin < codes.count(); begin += step) {
    const int64_t n = std::min(step, codes.count() - begin);
    load_codes(codes, begin, n, chunk.data());
    decode(quantization.format, quantization.params.data(), chunk.data(), n, y + begin);
  }
  return x;
}

}  // namespace lowbit
