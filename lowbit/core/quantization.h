// quantization.h: the annotation that a value of the graph carries: number system + granularity + parameters + how they
// were found. An annotated constant is held in one of two forms:
//   float32: while a model is being quantized; its codes are encode(values, annotation), so a method that chooses codes
//            writes back the decoded values;
//   codes:   as files hold them, in code_dtype(annotation); reading and writing a file changes no code, whatever the
//            rounding of a second encode would give.
// Whoever reads an annotated constant uses weight_codes() and weight_values(), never constant->data<float>().
#pragma once

#include <string>
#include <vector>

#include "lowbit/core/tensor.h"
#include "lowbit/numbers/granularity.h"
#include "lowbit/numbers/linear.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit {

struct Value;

struct Quantization {
  NumberFormat format;
  Granularity granularity;
  std::vector<float> params;  ///< group_count * param_count, group-major
  std::string origin;         ///< how it was found, in words: "mse over 256 samples", "imported"
  /// True: parameters are found at inference from the tensor itself (params is empty).
  bool dynamic = false;

  bool linear() const { return is_linear(format); }
  /// Parameters of one group of a linear system.
  LinearParams linear_at(int64_t group) const {
    return {params[static_cast<size_t>(group) * 2], static_cast<int32_t>(params[static_cast<size_t>(group) * 2 + 1])};
  }
  CodeRange codes() const { return format.system->codes(format); }
  bool operator==(const Quantization& other) const {
    return format == other.format && granularity == other.granularity && params == other.params &&
           dynamic == other.dynamic;
  }
};

/// Per-tensor annotation of a linear system.
Quantization linear_quantization(NumberFormat format, LinearParams params, std::string origin);

/// The narrowest type that holds every code: uint8, int8, uint16, int16 or int32.
DType code_dtype(const Quantization& quantization);

/// int32 codes with the dims of x (float32). Checks that the parameters fit the dims.
Tensor encode_tensor(const Quantization& quantization, const Tensor& x);
/// float32 values of codes (any integer type).
Tensor decode_tensor(const Quantization& quantization, const Tensor& codes);
/// decode(encode(x)).
Tensor fake_quantize(const Quantization& quantization, const Tensor& x);
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

/// Bits that the codes and the parameters take in a file: count * bits + groups * param bits (linear: 32, and
/// `bits` more for a fitted zero point). What a container really takes may be less: it codes by entropy.
int64_t storage_bits(const Quantization& quantization, const Dims& dims);

}  // namespace lowbit
