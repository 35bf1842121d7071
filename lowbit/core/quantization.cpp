#include "lowbit/core/quantization.h"

#include <fmt/format.h>

#include "lowbit/core/graph.h"

namespace lowbit {
namespace {

void check_params(const Quantization& quantization, const Dims& dims) {
  const int64_t wanted =
      group_count(quantization.granularity, dims) * quantization.format.system->param_count(quantization.format);
  if (wanted != static_cast<int64_t>(quantization.params.size()))
    throw Error(ErrorCode::bad_file,
                fmt::format("{} quantization parameters do not fit a tensor {} at {} granularity, which takes {}",
                            quantization.params.size(), dims_text(dims), to_string(quantization.granularity), wanted));
}

}  // namespace

Quantization linear_quantization(NumberFormat format, LinearParams params, std::string origin) {
  return {format, {}, {params.scale, static_cast<float>(params.zero_point)}, std::move(origin)};
}

DType code_dtype(const Quantization& quantization) {
  const CodeRange range = quantization.codes();
  if (range.min >= 0 && range.max <= 255) return DType::uint8;
  if (range.min >= -128 && range.max <= 127) return DType::int8;
  if (range.min >= 0 && range.max <= 65535) return DType::uint16;
  return range.min >= -32768 && range.max <= 32767 ? DType::int16 : DType::int32;
}

Tensor encode_tensor(const Quantization& quantization, const Tensor& x) {
  check_params(quantization, x.dims());
  Tensor codes = Tensor::uninitialized(DType::int32, x.dims());
  encode_groups(quantization.format, quantization.granularity, x.dims(), quantization.params, x.data<float>(),
                codes.mutable_data<int32_t>());
  return codes;
}

Tensor decode_tensor(const Quantization& quantization, const Tensor& codes) {
  check_params(quantization, codes.dims());
  const Tensor wide = codes.cast(DType::int32);
  Tensor y = Tensor::uninitialized(DType::float32, codes.dims());
  decode_groups(quantization.format, quantization.granularity, codes.dims(), quantization.params, wide.data<int32_t>(),
                y.mutable_data<float>());
  return y;
}

Tensor fake_quantize(const Quantization& quantization, const Tensor& x) {
  return decode_tensor(quantization, encode_tensor(quantization, x));
}

bool is_annotated_constant(const Value& value) {
  return value.constant && value.quantization && !value.quantization->dynamic;
}

bool holds_codes(const Value& value) { return is_annotated_constant(value) && is_integer(value.constant->dtype()); }

Tensor weight_codes(const Value& value) {
  LOWBIT_CHECK(is_annotated_constant(value));
  if (!holds_codes(value))
    return encode_tensor(*value.quantization, to_float32(*value.constant)).cast(code_dtype(*value.quantization));
  LOWBIT_CHECK(value.constant->dtype() == code_dtype(*value.quantization));
  return *value.constant;
}

Tensor weight_values(const Value& value) {
  LOWBIT_CHECK(value.constant);
  if (holds_codes(value)) return decode_tensor(*value.quantization, *value.constant);
  const Tensor floats = to_float32(*value.constant);
  return is_annotated_constant(value) ? fake_quantize(*value.quantization, floats) : floats;
}

Tensor unrounded_values(const Value& value) {
  LOWBIT_CHECK(value.constant);
  return holds_codes(value) ? weight_values(value) : *value.constant;
}

int64_t storage_bits(const Quantization& quantization, const Dims& dims) {
  const int64_t groups = group_count(quantization.granularity, dims);
  const NumberSystem& system = *quantization.format.system;
  const int64_t group_bits = system.param_bits ? system.param_bits(quantization.format)
                                               : int64_t{32} * system.param_count(quantization.format);
  return element_count(dims) * quantization.format.bits + groups * group_bits;
}

}  // namespace lowbit
