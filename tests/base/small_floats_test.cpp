#include "lowbit/base/small_floats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lowbit {
namespace {

TEST(Half, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value))));
    else
      ASSERT_EQ(float_to_half(value), bits);
  }
}

/// _Float16 is the compiler's own conversion, so an independent oracle.
TEST(Half, RoundsAsTheCompilerDoes) {
  for (uint64_t i = 0; i < (uint64_t{1} << 32); i += 65521) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(i));
    if (std::isnan(value)) continue;
    const auto expected = std::bit_cast<uint16_t>(static_cast<_Float16>(value));
    ASSERT_EQ(float_to_half(value), expected) << value;
  }
  EXPECT_EQ(half_to_float(0x3c00), 1.0f);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24f);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(65519.0f), 0x7bff);
}

TEST(Bfloat16, RoundsToNearestEven) {
  EXPECT_EQ(float_to_bfloat16(1.0f), 0x3f80);
  EXPECT_EQ(float_to_bfloat16(1.0f + 0x1p-8f), 0x3f80);  // tie, even below
  EXPECT_EQ(float_to_bfloat16(1.0f + 0x3p-8f), 0x3f82);  // tie, even above
  EXPECT_EQ(float_to_bfloat16(std::numeric_limits<float>::max()), 0x7f80);
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = bfloat16_to_float(static_cast<uint16_t>(bits));
    if (!std::isnan(value)) {
      ASSERT_EQ(float_to_bfloat16(value), bits);
    }
  }
}

/// Brute force: the nearest of all finite values, ties to the even code.
uint8_t nearest(float value, Float8 format) {
  int best = -1;
  for (int code = 0; code < 128; ++code) {
    const float candidate = float8_to_float(static_cast<uint8_t>(code), format);
    if (!std::isfinite(candidate)) continue;
    if (best < 0) {
      best = code;
      continue;
    }
    const double a = std::fabs(static_cast<double>(std::fabs(value)) - candidate);
    const double b =
        std::fabs(static_cast<double>(std::fabs(value)) - float8_to_float(static_cast<uint8_t>(best), format));
    if (a < b || (a == b && code % 2 == 0)) best = code;
  }
  return static_cast<uint8_t>(best);
}

TEST(Float8, EncodesTheNearestValueOfEveryFormat) {
  for (Float8 format : {Float8::e4m3fn, Float8::e4m3fnuz, Float8::e5m2, Float8::e5m2fnuz}) {
    for (int code = 0; code < 256; ++code) {
      const float value = float8_to_float(static_cast<uint8_t>(code), format);
      if (std::isfinite(value)) {
        ASSERT_EQ(float_to_float8(value, format, true), code);
      }
    }
    for (float value = 0x1p-20f; value < 1e6f; value *= 1.0137f)
      ASSERT_EQ(float_to_float8(value, format, true), nearest(value, format)) << value;
  }
}

TEST(Float8, OverflowAsOnnxSays) {
  EXPECT_EQ(float8_to_float(0x7e, Float8::e4m3fn), 448.0f);
  EXPECT_EQ(float8_to_float(0x7b, Float8::e5m2), 57344.0f);
  EXPECT_EQ(float8_to_float(0x7f, Float8::e4m3fnuz), 240.0f);
  EXPECT_EQ(float_to_float8(1e9f, Float8::e4m3fn, false), 0x7f);
  EXPECT_EQ(float_to_float8(1e9f, Float8::e5m2, false), 0x7c);
  EXPECT_EQ(float_to_float8(-1e9f, Float8::e5m2, true), 0xfb);
  EXPECT_EQ(float_to_float8(-0.0f, Float8::e4m3fnuz, true), 0);
  EXPECT_TRUE(std::isnan(float8_to_float(0x80, Float8::e5m2fnuz)));
}

}  // namespace
}  // namespace lowbit
