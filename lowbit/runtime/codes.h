// codes.h: tensors of codes as the executor keeps them: the narrowest integer type that holds the format's codes.
#pragma once

#include <cstdint>

#include "lowbit/core/quantization.h"
#include "lowbit/core/weights.h"

namespace lowbit {

/// Per-tensor linear activations in the executor's storage type; x float32. clipped (may be null) is increased by the
/// number of values that lay outside the range.
Tensor quantize_activation(const Quantization& quantization, const Tensor& x, int64_t* clipped = nullptr);
Tensor dequantize_activation(const Quantization& quantization, const Tensor& codes);

/// Elements [begin, begin + n) of a tensor of codes as int32, and back (the values must fit).
void load_codes(const Tensor& codes, int64_t begin, int64_t n, int32_t* out);
void store_codes(const int32_t* values, int64_t begin, int64_t n, Tensor& codes);

}  // namespace lowbit
