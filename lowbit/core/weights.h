// weights.h: reading annotated constants. A constant whose value carries a (static) Quantization is held in one of two
// forms:
//   float32: while a model is being quantized; its codes are encode(values, annotation), so a method that chooses codes
//            writes back the decoded values;
//   codes:   as files hold them, in code_dtype(annotation), while Value::dtype stays float32; reading and writing a
//   file
//            changes no code, whatever the rounding of a second encode would give.
// Whoever reads an annotated constant uses these functions, never constant->data<float>().
#pragma once

#include "lowbit/core/quantization.h"

namespace lowbit {

struct Value;

/// The narrowest type that holds every code: uint8, int8, uint16, int16 or int32.
DType code_dtype(const Quantization& quantization);

/// True if the value is a constant whose annotation says what it stands for (not a dynamic one).
bool is_annotated_constant(const Value& value);
/// True if it is one that holds codes instead of floats.
bool holds_codes(const Value& value);
/// Codes of an annotated constant in code_dtype(), with the dims of the constant. Codes are returned as they are
/// (shared bytes), floats are encoded. Throws Error{internal} without a constant or a static annotation.
Tensor weight_codes(const Value& value);
/// float32 values that a constant stands for: codes and annotated floats as the annotation rounds them; others
/// converted.
Tensor weight_values(const Value& value);
/// A constant as it is, in its own type, but codes decoded: what a reader without interest in annotations takes for the
/// constant. Annotated floats are not rounded.
Tensor unrounded_values(const Value& value);

}  // namespace lowbit
