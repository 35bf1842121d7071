#include "lowbit/base/small_floats.h"

#include <cmath>

namespace lowbit {
namespace {

/// Layout of a binary float format narrower than float32.
struct Layout {
  int exponent_bits, mantissa_bits, bias;
  bool has_infinity;
};

/// Value of sign, exponent and mantissa fields, infinities and NaN apart.
float field_value(bool negative, int exponent, int mantissa, const Layout& layout) {
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), 1 - layout.bias - layout.mantissa_bits)
                              : std::ldexp(static_cast<float>(mantissa + (1 << layout.mantissa_bits)),
                                           exponent - layout.bias - layout.mantissa_bits);
  return negative ? -magnitude : magnitude;
}

/// The magnitude's code as if the exponent had no upper end: exponent and mantissa fields as one number, rounded to
/// nearest even.
int64_t nearest_code(float magnitude, const Layout& layout) {
  if (magnitude == 0) return 0;
  int exponent = 0;
  std::frexp(magnitude, &exponent);  // magnitude in [0.5, 1) * 2^exponent
  const int field = exponent - 1 + layout.bias;
  const int unit = (field >= 1 ? exponent - 1 : 1 - layout.bias) - layout.mantissa_bits;  // exponent of the last place
  const auto steps = static_cast<int64_t>(std::nearbyint(std::ldexp(static_cast<double>(magnitude), -unit)));
  // A carry out of the mantissa moves to the next exponent by itself.
  return field >= 1 ? (static_cast<int64_t>(field - 1) << layout.mantissa_bits) + steps : steps;
}

constexpr Layout kHalf{5, 10, 15, true};

Layout layout_of(Float8 format) {
  switch (format) {
    case Float8::e4m3fn:
      return {4, 3, 7, false};
    case Float8::e4m3fnuz:
      return {4, 3, 8, false};
    case Float8::e5m2:
      return {5, 2, 15, true};
    case Float8::e5m2fnuz:
      return {5, 2, 16, false};
  }
  return {};
}

bool is_uz(Float8 format) { return format == Float8::e4m3fnuz || format == Float8::e5m2fnuz; }

/// Magnitude code of the largest finite value.
int64_t largest_code(Float8 format) {
  switch (format) {
    case Float8::e4m3fn:
      return 0x7e;
    case Float8::e5m2:
      return 0x7b;
    default:
      return 0x7f;
  }
}

}  // namespace

float half_to_float(uint16_t bits) {
  const bool negative = bits >> 15;
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  if (exponent == 31) {
    // The payload moves to the upper end of the wider mantissa, as hardware conversions do.
    const uint32_t wide = static_cast<uint32_t>(bits & 0x8000) << 16 | 0x7f800000u |
                          static_cast<uint32_t>(mantissa) << 13 | (mantissa ? 0x400000u : 0u);
    return std::bit_cast<float>(wide);
  }
  return field_value(negative, exponent, mantissa, kHalf);
}

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00 | (bits >> 13 & 0x3ff));
  if (std::isinf(value)) return static_cast<uint16_t>(sign | 0x7c00);
  const int64_t code = nearest_code(std::fabs(value), kHalf);
  return static_cast<uint16_t>(sign | (code > 0x7c00 ? 0x7c00 : code));
}

uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float float8_to_float(uint8_t bits, Float8 format) {
  const Layout layout = layout_of(format);
  const bool negative = bits >> 7;
  const int magnitude = bits & 0x7f;
  if (is_uz(format)) {
    if (bits == 0x80) return NAN;
  } else if (magnitude > largest_code(format)) {
    return layout.has_infinity && magnitude == 0x7c ? (negative ? -INFINITY : INFINITY)
                                                    : std::copysign(NAN, negative ? -1.0f : 1.0f);
  }
  return field_value(negative, magnitude >> layout.mantissa_bits, magnitude & ((1 << layout.mantissa_bits) - 1),
                     layout);
}

uint8_t float_to_float8(float value, Float8 format, bool saturate) {
  const Layout layout = layout_of(format);
  const bool negative = std::signbit(value);
  const auto sign = static_cast<uint8_t>(negative ? 0x80 : 0);
  const uint8_t nan = is_uz(format) ? uint8_t{0x80} : static_cast<uint8_t>(sign | 0x7f);
  if (std::isnan(value)) return nan;
  const int64_t largest = largest_code(format);
  const uint8_t overflow = saturate              ? static_cast<uint8_t>(sign | largest)
                           : layout.has_infinity ? static_cast<uint8_t>(sign | 0x7c)
                                                 : nan;
  if (std::isinf(value)) return overflow;
  const int64_t code = nearest_code(std::fabs(value), layout);
  if (code > largest) return overflow;
  return code == 0 && is_uz(format) ? uint8_t{0} : static_cast<uint8_t>(sign | code);
}

}  // namespace lowbit
