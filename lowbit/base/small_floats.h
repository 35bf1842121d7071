// small_floats.h: conversions between float32 and the 16-bit and 8-bit float formats. Rounding to nearest even.
#pragma once

#include <bit>
#include <cstdint>

namespace lowbit {

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);  ///< overflow gives infinity, as IEEE 754

inline float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
uint16_t float_to_bfloat16(float value);

/// The 8-bit floats of ONNX. "fn": finite only (no infinity); "uz": unsigned zero (0x80 is NaN).
enum class Float8 { e4m3fn, e4m3fnuz, e5m2, e5m2fnuz };
float float8_to_float(uint8_t bits, Float8 format);
/// Saturating (ONNX saturate = 1) or overflow to infinity / NaN.
uint8_t float_to_float8(float value, Float8 format, bool saturate);

}  // namespace lowbit
