// dynamic_input.h: activations that are quantized at inference (docs/integer-semantics.md, "Dynamic activations").
#pragma once

#include <vector>

#include "lowbit/core/quantization.h"

namespace lowbit {

/// Codes minus zero points with the scales that were found: one, or one for each row along the last axis.
struct DynamicCodes {
  std::vector<int16_t> values;
  std::vector<float> scales;
};

/// quantization: dynamic, int8 or uint8; granularity channel means by row. NaN counts as 0.
DynamicCodes quantize_dynamic(const Quantization& quantization, const Tensor& x);

/// The values of those codes.
Tensor fake_quantize_dynamic(const Quantization& quantization, const Tensor& x);

/// Largest |code - zero point|.
int32_t dynamic_span(const Quantization& quantization);

}  // namespace lowbit
