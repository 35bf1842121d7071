// quantization.h: the annotation that a value of the graph carries: number system + granularity + parameters + how they
// were found. A weight keeps its float values; its codes are encode(values, annotation), so a method that chooses codes
// writes back the decoded values.
#pragma once

#include <string>
#include <vector>

#include "lowbit/core/tensor.h"
#include "lowbit/numbers/granularity.h"
#include "lowbit/numbers/linear.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit {

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

/// int32 codes of x (float32), with the dims of x; in a vector system (numbers/granularity.h, code_dims) as a matrix.
/// Checks that the parameters fit the dims.
Tensor encode_tensor(const Quantization& quantization, const Tensor& x);
/// float32 values of int32 codes. `dims`: of the values, where they are not those of the codes (vector systems).
Tensor decode_tensor(const Quantization& quantization, const Tensor& codes);
Tensor decode_tensor(const Quantization& quantization, const Tensor& codes, const Dims& dims);
/// decode(encode(x)).
Tensor fake_quantize(const Quantization& quantization, const Tensor& x);
/// Bits that the codes and the parameters take in a file without entropy coding: bits of the codes (ternary: 8 for each
/// five) + groups * bits of the parameters of one.
int64_t storage_bits(const Quantization& quantization, const Dims& dims);

}  // namespace lowbit
