#include "lowbit/core/weights.h"

#include "lowbit/core/graph.h"

namespace lowbit {

DType code_dtype(const Quantization& quantization) {
  const CodeRange range = quantization.codes();
  if (range.min >= 0 && range.max <= 255) return DType::uint8;
  if (range.min >= -128 && range.max <= 127) return DType::int8;
  if (range.min >= 0 && range.max <= 65535) return DType::uint16;
  return range.min >= -32768 && range.max <= 32767 ? DType::int16 : DType::int32;
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

}  // namespace lowbit
