// scalar.h: one element of each kind: loading a code, storing a code, the roundings. Static everywhere.
#pragma once

#include <stdint.h>

#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels {
namespace {

[[maybe_unused]] inline int32_t load_code(const void* data, int64_t index, Code type) {
  switch (type) {
    case Code::u8:
      return static_cast<const uint8_t*>(data)[index];
    case Code::s8:
      return static_cast<const int8_t*>(data)[index];
    case Code::u16:
      return static_cast<const uint16_t*>(data)[index];
    default:
      return static_cast<const int16_t*>(data)[index];
  }
}

[[maybe_unused]] inline void store_code(void* data, int64_t index, Code type, int32_t code) {
  switch (type) {
    case Code::u8:
      static_cast<uint8_t*>(data)[index] = static_cast<uint8_t>(code);
      break;
    case Code::s8:
      static_cast<int8_t*>(data)[index] = static_cast<int8_t>(code);
      break;
    case Code::u16:
      static_cast<uint16_t*>(data)[index] = static_cast<uint16_t>(code);
      break;
    default:
      static_cast<int16_t*>(data)[index] = static_cast<int16_t>(code);
  }
}

/// min(max(rne(x), low), high) for integers |low|, |high| < 2^22: the limits first, which is the same and keeps x
/// within the reach of rounding by addition. Needs the default rounding mode.
[[maybe_unused]] inline float round_clamped(float x, float low, float high) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: the sum has no fraction bits left
  x = x > low ? x : low;
  x = x < high ? x : high;
  return (x + kShift) - kShift;
}
[[maybe_unused]] inline double round_clamped(double x, double low, double high) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52
  x = x > low ? x : low;
  x = x < high ? x : high;
  return (x + kShift) - kShift;
}

/// min(max(rne(x) + zero_point, low), high).
[[maybe_unused]] inline int32_t to_code(float x, int32_t zero_point, int32_t low, int32_t high) {
  return static_cast<int32_t>(
             round_clamped(x, static_cast<float>(low - zero_point), static_cast<float>(high - zero_point))) +
         zero_point;
}
[[maybe_unused]] inline int32_t to_code(double x, int32_t zero_point, int32_t low, int32_t high) {
  return static_cast<int32_t>(
             round_clamped(x, static_cast<double>(low - zero_point), static_cast<double>(high - zero_point))) +
         zero_point;
}

/// The fused addition of codes.
[[maybe_unused]] inline int32_t add_codes(int32_t a, int32_t b, float r_a, float r_b, float f, int32_t low,
                                          int32_t high) {
  const float x = __builtin_fmaf(static_cast<float>(a), r_a, __builtin_fmaf(static_cast<float>(b), r_b, f));
  return static_cast<int32_t>(round_clamped(x, static_cast<float>(low), static_cast<float>(high)));
}

}  // namespace
}  // namespace lowbit::kernels
