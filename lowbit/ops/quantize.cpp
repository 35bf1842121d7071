#include "lowbit/ops/quantize.h"

#include <algorithm>
#include <limits>

#include "lowbit/core/float8_format.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

constexpr int64_t kBlockElements = int64_t{1} << 15;

/// Walks a tensor in rows along which the scale is constant (step 0) or advances with the element (step 1).
class ScaleRows {
 public:
  ScaleRows(const Dims& dims, const Tensor& scale, ScaleAxis where) : count_(element_count(dims)) {
    if (scale.count() == 1 && where.block <= 0) return;
    const auto rank = static_cast<int64_t>(dims.size());
    const auto axis = static_cast<size_t>(normalize_axis(where.axis, rank));
    outer_ = count_between(dims, 0, axis);
    length_ = dims[axis];
    inner_ = count_between(dims, axis + 1, dims.size());
    if (where.block <= 0) {
      require_dims(scale, {length_}, "the scale");
      return;
    }
    block_ = where.block;
    blocks_ = (length_ - 1) / block_ + 1;
    Dims wanted = dims;
    wanted[axis] = blocks_;
    require_dims(scale, wanted, "the scale");
  }

  /// f(first element, number of elements, first scale, scale step).
  template <typename F>
  void for_each(ThreadPool& threads, F f) const {
    if (length_ < 0) {
      threads.parallel_blocks(count_, kBlockElements, [&](int64_t a, int64_t b) { f(a, b - a, int64_t{0}, 0); });
      return;
    }
    const int64_t rows = outer_ * length_;
    threads.parallel_blocks(rows, std::max<int64_t>(1, kBlockElements / std::max<int64_t>(1, inner_)),
                            [&](int64_t first, int64_t last) {
                              for (int64_t row = first; row < last; ++row) {
                                const int64_t o = row / length_, i = row % length_;
                                if (block_ > 0)
                                  f(row * inner_, inner_, (o * blocks_ + i / block_) * inner_, 1);
                                else
                                  f(row * inner_, inner_, i, 0);
                              }
                            });
  }

 private:
  int64_t count_, outer_ = 1, length_ = -1, inner_ = 1, block_ = 0, blocks_ = 0;
};

/// Zero points like the scale, as T; zeros if absent.
template <typename T>
std::vector<T> zeros_like(const Tensor* zero, const Tensor& scale) {
  if (!zero) return std::vector<T>(static_cast<size_t>(scale.count()), T{});
  require(zero->count() == scale.count(), "the zero point {} does not fit the scale {}", dims_text(zero->dims()),
          dims_text(scale.dims()));
  const std::vector<int64_t> wide = to_int64(*zero);
  return {wide.begin(), wide.end()};
}

/// Rounds to the nearest even integer for |v| < 2^22; unlike nearbyint the compiler can vectorise it.
inline float round_small(float v) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: the sum has no fraction bits
  return (v + kMagic) - kMagic;
}

template <typename T>
void quantize_to(EvalContext& context, const Tensor& x, const Tensor& scale, const Tensor* zero, const ScaleRows& rows,
                 CodeLimits limits, T* y) {
  const float *px = x.data<float>(), *ps = scale.data<float>();
  const std::vector<float> zeros = zeros_like<float>(zero, scale);
  const auto low = static_cast<float>(limits.low), high = static_cast<float>(limits.high);
  rows.for_each(context.threads(), [&](int64_t first, int64_t count, int64_t at, int64_t step) {
    for (int64_t i = 0; i < count; ++i) {
      const float z = zeros[static_cast<size_t>(at + i * step)], v = px[first + i] / ps[at + i * step];
      // Clamping first to integer bounds changes nothing and keeps the rounding in its range; NaN becomes `low`.
      y[first + i] = static_cast<T>(static_cast<int32_t>(round_small(std::min(std::max(low - z, v), high - z)) + z));
    }
  });
}

void quantize_to_float8(EvalContext& context, const Tensor& x, const Tensor& scale, const ScaleRows& rows,
                        Float8 format, bool saturate, uint8_t* y) {
  const float *px = x.data<float>(), *ps = scale.data<float>();
  rows.for_each(context.threads(), [&](int64_t first, int64_t count, int64_t at, int64_t step) {
    for (int64_t i = 0; i < count; ++i)
      y[first + i] = float_to_float8(px[first + i] / ps[at + i * step], format, saturate);
  });
}

template <typename T>
void dequantize_from(EvalContext& context, const T* codes, const Tensor& scale, const Tensor* zero,
                     const ScaleRows& rows, float* y) {
  const float* ps = scale.data<float>();
  using Wide = std::conditional_t<sizeof(T) == 4, int64_t, int32_t>;
  const std::vector<Wide> zeros = zeros_like<Wide>(zero, scale);
  rows.for_each(context.threads(), [&](int64_t first, int64_t count, int64_t at, int64_t step) {
    for (int64_t i = 0; i < count; ++i)
      y[first + i] =
          static_cast<float>(static_cast<Wide>(codes[first + i]) - zeros[static_cast<size_t>(at + i * step)]) *
          ps[at + i * step];
  });
}

/// Calls f with a typed pointer to integer codes.
template <typename F>
void with_codes(const Node& node, const Tensor& codes, F&& f) {
  switch (codes.dtype()) {
    case DType::int4:
    case DType::int2:
    case DType::int8:
      return f(reinterpret_cast<const int8_t*>(codes.raw().data()));
    case DType::uint4:
    case DType::uint2:
    case DType::uint8:
      return f(reinterpret_cast<const uint8_t*>(codes.raw().data()));
    case DType::int16:
      return f(codes.data<int16_t>());
    case DType::uint16:
      return f(codes.data<uint16_t>());
    case DType::int32:
      return f(codes.data<int32_t>());
    default:
      type_error(node, codes.dtype());
  }
}

ScaleAxis scale_axis(const Node& node) {
  const ScaleAxis where{node.attr_int("axis", 1), node.attr_int("block_size", 0)};
  require(where.block >= 0, "block_size is {}", where.block);
  return where;
}

DType quantized_type(const Node& node, DType zero_type) {
  const int64_t stated = node.attr_int("output_dtype", 0);
  if (zero_type != DType::undefined) return zero_type;
  return stated != 0 ? dtype_from_onnx(node, stated) : DType::uint8;
}

void run_quantize(EvalContext& context) {
  const Tensor* zero = context.optional_input(2);
  const DType type = quantized_type(context.node(), zero ? zero->dtype() : DType::undefined);
  context.set_output(0, quantize_linear(context, context.input(0), context.input(1), zero, scale_axis(context.node()),
                                        type, context.node().attr_int("saturate", 1) != 0));
}

DType dequantized_type(const Node& node, DType scale_type) {
  const int64_t stated = node.attr_int("output_dtype", 0);
  return stated != 0 ? dtype_from_onnx(node, stated) : scale_type;
}

void run_dequantize(EvalContext& context) {
  const Tensor& scale = context.input(1);
  context.set_output(0, dequantize_linear(context, context.input(0), scale, context.optional_input(2),
                                          scale_axis(context.node()), dequantized_type(context.node(), scale.dtype())));
}

void run_dynamic_quantize(EvalContext& context) {
  const Tensor x = to_float32(context.input(0));
  float low = 0, high = 0;
  for (float v : x.values<float>()) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  // A constant zero tensor has no range; any positive scale represents it.
  const float scale = high > low ? (high - low) / 255.0f : 1.0f;
  const float zero = std::min(std::max(std::nearbyint(-low / scale), 0.0f), 255.0f);
  const Tensor scales = Tensor::scalar<float>(scale), zeros = Tensor::scalar<uint8_t>(static_cast<uint8_t>(zero));
  context.set_output(0, quantize_linear(context, x, scales, &zeros, {}, DType::uint8));
  context.set_output(1, scales);
  context.set_output(2, zeros);
}

void infer_quantize(InferContext& context) {
  if (context.has_input(2) && context.input_dtype(2) == DType::undefined)
    return infer_same_shape(context, DType::undefined);
  infer_same_shape(context, quantized_type(context.node(), context.input_dtype(2)));
}

void infer_dequantize(InferContext& context) {
  infer_same_shape(context, dequantized_type(context.node(), context.input_dtype(1)));
}

void infer_dynamic_quantize(InferContext& context) {
  infer_same_shape(context, DType::uint8);
  context.set_output(1, DType::float32, Shape{});
  context.set_output(2, DType::uint8, Shape{});
}

}  // namespace

CodeLimits code_limits(const Node& node, DType type) {
  if (!is_integer(type) || dtype_bits(type) > 32) type_error(node, type);
  const int bits = dtype_bits(type);
  if (is_signed_integer(type)) return {-(int64_t{1} << (bits - 1)), (int64_t{1} << (bits - 1)) - 1};
  return {0, (int64_t{1} << bits) - 1};
}

Tensor quantize_linear(EvalContext& context, const Tensor& x, const Tensor& scale, const Tensor* zero, ScaleAxis where,
                       DType type, bool saturate) {
  const ScaleRows rows(x.dims(), scale, where);
  const Tensor wide_x = to_float32(x), wide_scale = to_float32(scale);
  Tensor y = make_output(context.node(), type, x.dims());
  if (const auto format = float8_format(type)) {
    quantize_to_float8(context, wide_x, wide_scale, rows, *format, saturate, y.mutable_data<uint8_t>());
    return y;
  }
  if (dtype_bits(type) > 16) type_error(context.node(), type);
  const CodeLimits limits = code_limits(context.node(), type);
  if (type == DType::int16)
    quantize_to(context, wide_x, wide_scale, zero, rows, limits, y.mutable_data<int16_t>());
  else if (type == DType::uint16)
    quantize_to(context, wide_x, wide_scale, zero, rows, limits, y.mutable_data<uint16_t>());
  else
    quantize_to(context, wide_x, wide_scale, zero, rows, limits, reinterpret_cast<uint8_t*>(y.mutable_raw()));
  return y;
}

Tensor dequantize_linear(EvalContext& context, const Tensor& codes, const Tensor& scale, const Tensor* zero,
                         ScaleAxis where, DType type) {
  const ScaleRows rows(codes.dims(), scale, where);
  const Tensor wide_scale = to_float32(scale);
  Tensor y = make_output(context.node(), DType::float32, codes.dims());
  float* out = y.mutable_data<float>();
  if (float8_format(codes.dtype())) {
    const Tensor values = to_float32(codes);
    const float *px = values.data<float>(), *ps = wide_scale.data<float>();
    rows.for_each(context.threads(), [&](int64_t first, int64_t count, int64_t at, int64_t step) {
      for (int64_t i = 0; i < count; ++i) out[first + i] = px[first + i] * ps[at + i * step];
    });
  } else {
    with_codes(context.node(), codes, [&](auto* p) { dequantize_from(context, p, wide_scale, zero, rows, out); });
  }
  return type == DType::float32 ? y : y.cast(type);
}

std::vector<int64_t> channel_zeros(const Tensor* zero, int64_t channels) {
  if (!zero) return std::vector<int64_t>(static_cast<size_t>(channels), 0);
  if (zero->count() == 1) return std::vector<int64_t>(static_cast<size_t>(channels), to_int64(*zero)[0]);
  require(zero->count() == channels, "{} zero points for {} channels", zero->count(), channels);
  return to_int64(*zero);
}

std::vector<float> channel_scales(const Tensor& scale, int64_t channels) {
  const Tensor wide = to_float32(scale);
  if (wide.count() == 1) return std::vector<float>(static_cast<size_t>(channels), wide.data<float>()[0]);
  require(wide.count() == channels, "{} scales for {} channels", wide.count(), channels);
  return {wide.values<float>().begin(), wide.values<float>().end()};
}

int64_t scalar_int(const Tensor& tensor, std::string_view what) {
  require(tensor.count() == 1, "{} must be one number, but has the shape {}", what, dims_text(tensor.dims()));
  return to_int64(tensor)[0];
}

float scalar_float(const Tensor& tensor, std::string_view what) {
  require(tensor.count() == 1, "{} must be one number, but has the shape {}", what, dims_text(tensor.dims()));
  return to_float32(tensor).data<float>()[0];
}

Requantizer::Requantizer(const EvalContext& context, Inputs at, int64_t channels)
    : zero_(context.has_input(at.y_zero) ? scalar_int(context.input(at.y_zero), "the zero point of the output") : 0) {
  const double x = scalar_float(context.input(at.x_scale), "the scale of the input");
  const double y = scalar_float(context.input(at.y_scale), "the scale of the output");
  require(y > 0, "the scale of the output is {}, but must be positive", y);
  for (float w : channel_scales(context.input(at.w_scale), channels)) factors_.push_back(x * w / y);
  const DType type = context.has_input(at.y_zero) ? context.input(at.y_zero).dtype() : DType::uint8;
  const CodeLimits limits = code_limits(context.node(), type);
  low_ = static_cast<double>(limits.low);
  high_ = static_cast<double>(limits.high);
}

std::span<const OpDef> quantize_ops() {
  static constexpr std::string_view kDequantize = "axis block_size output_dtype";
  static constexpr std::string_view kQuantize = "axis block_size output_dtype precision saturate";
  static const OpDef rows[] = {
      {"", "DequantizeLinear", OpKind::quantize, 2, 3, 1, 1, kDequantize, infer_dequantize, run_dequantize},
      {"", "DynamicQuantizeLinear", OpKind::quantize, 1, 1, 3, 3, "", infer_dynamic_quantize, run_dynamic_quantize},
      {"", "QuantizeLinear", OpKind::quantize, 2, 3, 1, 1, kQuantize, infer_quantize, run_quantize},
      {"com.microsoft", "DequantizeLinear", OpKind::quantize, 2, 3, 1, 1, kDequantize, infer_dequantize,
       run_dequantize},
      {"com.microsoft", "QuantizeLinear", OpKind::quantize, 2, 3, 1, 1, kQuantize, infer_quantize, run_quantize},
  };
  return rows;
}

}  // namespace lowbit
