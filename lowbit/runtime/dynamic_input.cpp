#include "lowbit/runtime/dynamic_input.h"

#include <algorithm>
#include <cmath>

namespace lowbit {
namespace {

LinearParams params_of(bool asymmetric, const float* x, int64_t n) {
  float low = 0, high = 0;
  for (int64_t i = 0; i < n; ++i) {
    low = std::min(low, x[i]);  // NaN never wins
    high = std::max(high, x[i]);
  }
  if (!asymmetric) {
    const float reach = std::max(-low, high);
    return {reach > 0 ? reach / 127.0f : 1.0f, 0};
  }
  const float scale = high > low ? (high - low) / 255.0f : 1.0f;
  return {scale, static_cast<int32_t>(std::clamp(std::nearbyint(-low / scale), 0.0f, 255.0f))};
}

}  // namespace

DynamicCodes quantize_dynamic(const Quantization& quantization, const Tensor& x) {
  const bool by_row = quantization.granularity.kind == Granularity::Kind::channel;
  const int64_t row = by_row && x.rank() > 0 ? std::max<int64_t>(x.dims().back(), 1) : std::max<int64_t>(x.count(), 1);
  const CodeRange range = quantization.codes();
  DynamicCodes result;
  result.values.resize(static_cast<size_t>(x.count()));
  const float* values = x.data<float>();
  for (int64_t begin = 0; begin < x.count(); begin += row) {
    const LinearParams params = params_of(quantization.format.asymmetric, values + begin, row);
    result.scales.push_back(params.scale);
    for (int64_t i = begin; i < begin + row; ++i)
      result.values[static_cast<size_t>(i)] =
          static_cast<int16_t>(linear_encode(values[i], params, range) - params.zero_point);
  }
  return result;
}

Tensor fake_quantize_dynamic(const Quantization& quantization, const Tensor& x) {
  const DynamicCodes codes = quantize_dynamic(quantization, x);
  Tensor y = Tensor::uninitialized(DType::float32, x.dims());
  const size_t row = codes.scales.empty() ? 1 : codes.values.size() / codes.scales.size();
  for (size_t i = 0; i < codes.values.size(); ++i)
    y.mutable_data<float>()[i] = static_cast<float>(codes.values[i]) * codes.scales[i / row];
  return y;
}

int32_t dynamic_span(const Quantization& quantization) {
  const CodeRange range = quantization.codes();
  return quantization.format.asymmetric ? range.max - range.min : std::max(range.max, -range.min);
}

}  // namespace lowbit
