// quantize.h: ONNX's linear quantization on tensors, shared by QuantizeLinear and everything that computes on codes.
//   code = clamp(round_half_even(x / scale) + zero_point),  x = scale * (code - zero_point)
#pragma once

#include <cmath>
#include <vector>

#include "lowbit/ops/op_helpers.h"

namespace lowbit {

/// Where scale and zero point apply.
struct ScaleAxis {
  int64_t axis = 1;
  int64_t block = 0;  ///< > 0: groups of this many elements along the axis, scale has the rank of x
};

/// x: a float type or int32; scale: one number, one per slice of the axis, or one per block; zero: null or like scale.
/// Throws Error{bad_file} where shapes do not fit, Error{unsupported} for a type without codes.
Tensor quantize_linear(EvalContext& context, const Tensor& x, const Tensor& scale, const Tensor* zero, ScaleAxis where,
                       DType type, bool saturate = true);
/// The result has type `type` (a float type).
Tensor dequantize_linear(EvalContext& context, const Tensor& codes, const Tensor& scale, const Tensor* zero,
                         ScaleAxis where, DType type);

/// Smallest and largest code of an integer type; throws type_error for others.
struct CodeLimits {
  int64_t low, high;
};
CodeLimits code_limits(const Node& node, DType type);

/// Zero points or scales, one per channel: absent gives zeros, one number is repeated.
std::vector<int64_t> channel_zeros(const Tensor* zero, int64_t channels);
std::vector<float> channel_scales(const Tensor& scale, int64_t channels);

/// One number per integer tensor, e.g. a zero point.
int64_t scalar_int(const Tensor& tensor, std::string_view what);
float scalar_float(const Tensor& tensor, std::string_view what);

/// Calls f with `const int8_t*` or `const uint8_t*`; throws type_error for other types.
template <typename F>
void with_codes8(const Node& node, const Tensor& codes, F&& f) {
  if (codes.dtype() == DType::int8) return f(codes.data<int8_t>());
  if (codes.dtype() == DType::uint8) return f(codes.data<uint8_t>());
  type_error(node, codes.dtype());
}
template <typename F>
void with_mutable_codes8(const Node& node, Tensor& codes, F&& f) {
  if (codes.dtype() == DType::int8) return f(codes.mutable_data<int8_t>());
  if (codes.dtype() == DType::uint8) return f(codes.mutable_data<uint8_t>());
  type_error(node, codes.dtype());
}

/// Integer sums to output codes: clamp(round_half_even(sum * x_scale * w_scale[channel] / y_scale) + y_zero).
class Requantizer {
 public:
  /// Input positions of the scales (one number; w: one or one per channel) and of the zero point.
  struct Inputs {
    size_t x_scale, w_scale, y_scale, y_zero;
  };
  Requantizer(const EvalContext& context, Inputs at, int64_t channels);

  template <typename T>
  void operator()(int64_t sum, int64_t channel, T& out) const {
    const double real = static_cast<double>(sum) * factors_[static_cast<size_t>(channel)];
    const double code = std::nearbyint(real) + static_cast<double>(zero_);
    out = static_cast<T>(std::min(std::max(code, low_), high_));
  }

 private:
  std::vector<double> factors_;
  int64_t zero_;
  double low_, high_;
};

}  // namespace lowbit
