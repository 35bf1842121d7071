#include "lowbit/runtime/codes.h"

#include <algorithm>
#include <vector>

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
  const CodeRange range = quantization.codes();
  const LinearParams params = quantization.linear_at(0);
  std::vector<int32_t> chunk(kChunk);
  const float low = (static_cast<float>(range.min - params.zero_point) - 0.5f) * params.scale;
  const float high = (static_cast<float>(range.max - params.zero_point) + 0.5f) * params.scale;
  for (int64_t begin = 0; begin < x.count(); begin += kChunk) {
    const int64_t n = std::min(kChunk, x.count() - begin);
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
  std::vector<int32_t> chunk(kChunk);
  float* y = x.mutable_data<float>();
  for (int64_t begin = 0; begin < codes.count(); begin += kChunk) {
    const int64_t n = std::min(kChunk, codes.count() - begin);
    load_codes(codes, begin, n, chunk.data());
    decode(quantization.format, quantization.params.data(), chunk.data(), n, y + begin);
  }
  return x;
}

}  // namespace lowbit
