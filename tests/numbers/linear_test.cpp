#include "lowbit/numbers/linear.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

constexpr float kMostFinite = std::numeric_limits<float>::max();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> fitted_linear(const char* name, const std::vector<float>& x, FitRule rule = FitRule::minmax,
                                 const std::vector<float>& importance = {}) {
  const NumberFormat format = parse_number_format(name);
  std::vector<float> params(static_cast<size_t>(format.system->param_count(format)));
  format.system->fit(format, x, importance, {.rule = rule}, params.data());
  return params;
}

std::vector<int32_t> linear_codes(const char* name, const std::vector<float>& params, const std::vector<float>& x) {
  std::vector<int32_t> codes(x.size());
  encode(parse_number_format(name), params.data(), x.data(), static_cast<int64_t>(x.size()), codes.data());
  return codes;
}

double error_of(const NumberFormat& format, const float* params, const std::vector<float>& x,
                const std::vector<float>& importance = {}) {
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    int32_t code;
    float y;
    encode(format, params, &x[i], 1, &code);
    decode(format, params, &code, 1, &y);
    const double d = static_cast<double>(x[i]) - static_cast<double>(y);
    error += (importance.empty() ? 1.0 : static_cast<double>(importance[i])) * d * d;
  }
  return error;
}

// The worked example of the literature: step = (127 + 128) / 255 = 1, zero point = 0 + 128.
TEST(Linear, MinMaxExampleMapsToTheUnsignedByteRange) {
  const std::vector<float> x = {-128, -32, 16, 64, 127};
  const std::vector<float> params = fitted_linear("uint8", x);
  EXPECT_EQ(params, (std::vector<float>{1, 128}));
  EXPECT_EQ(linear_codes("uint8", params, x), (std::vector<int32_t>{0, 96, 144, 192, 255}));
}

TEST(Linear, TiesGoToTheEvenCode) {
  const std::vector<float> params = {1, 0};
  EXPECT_EQ(linear_codes("int8", params, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f}),
            (std::vector<int32_t>{0, 2, 2, 0, -2, -2}));
}

// 0.7f / 0.1f rounds to 6.9999995; multiplying by the reciprocal gives 7: a division must be a division. The case that
// tells them apart: x = 3.5 * 0.1f exactly rounded, where x / s = 3.5 (tie to 4) and x * (1 / s) = 3.5 or its
// neighbour.
TEST(Linear, EncodesWithTrueDivision) {
  const CodeRange range{-128, 127};
  Random random(1);
  int differing = 0;
  for (int i = 0; i < 200000; ++i) {
    const float scale = static_cast<float>(0.001 + random.uniform());
    const float x = (static_cast<float>(random.below(200)) - 100.0f + 0.5f) * scale;
    const float exact = std::nearbyint(x / scale), reciprocal = std::nearbyint(x * (1.0f / scale));
    ASSERT_EQ(linear_encode(x, {scale, 0}, range), static_cast<int32_t>(exact));
    differing += exact != reciprocal;
  }
  EXPECT_GT(differing, 0) << "the data no longer tells division from multiplication";
}

TEST(Linear, NarrowLeavesOutTheLowestCode) {
  EXPECT_EQ(linear_codes("int8", {1, 0}, {-1000, 1000}), (std::vector<int32_t>{-127, 127}));
  EXPECT_EQ(linear_codes("int8-full", {1, 0}, {-1000, 1000}), (std::vector<int32_t>{-128, 127}));
  EXPECT_EQ(linear_codes("int4", {1, 0}, {-1000, 1000}), (std::vector<int32_t>{-7, 7}));
}

TEST(Linear, SymmetricUnsignedHasItsZeroAtTheFirstOrTheMiddleCode) {
  EXPECT_EQ(fitted_linear("uint8-sym", {0, 51, 255}), (std::vector<float>{1, 0}));
  EXPECT_EQ(fitted_linear("uint8-sym", {-127, 51}), (std::vector<float>{1, 128}));
}

TEST(Linear, ZeroRangeGivesScaleOneAndZeroPointZero) {
  for (const char* name : {"int8", "int8-asym", "uint8", "uint8-sym", "int1", "uint1", "int16", "uint3"}) {
    EXPECT_EQ(fitted_linear(name, {}), (std::vector<float>{1, 0})) << name;
    EXPECT_EQ(fitted_linear(name, {0, 0, -0.0f}), (std::vector<float>{1, 0})) << name;
    EXPECT_EQ(fitted_linear(name, {0, 0}, FitRule::mse), (std::vector<float>{1, 0})) << name;
  }
}

TEST(Linear, TinyRangeGivesTheSmallestNormalScale) {
  for (const char* name : {"int8", "int8-asym", "uint8", "int16"}) {
    EXPECT_EQ(fitted_linear(name, {1e-45f, -1e-44f})[0], 0x1p-126f) << name;
    EXPECT_EQ(fitted_linear(name, {1e-45f, -1e-44f}, FitRule::mse)[0], 0x1p-126f) << name;
  }
}

TEST(Linear, LargestFloatsGiveFiniteScalesAndLevels) {
  for (const char* name : {"int8", "int8-full", "int8-asym", "uint8", "uint8-sym", "int1", "uint1", "int2", "uint16"})
    for (FitRule rule : {FitRule::minmax, FitRule::mse}) {
      const NumberFormat format = parse_number_format(name);
      const std::vector<float> params = fitted_linear(name, {-kMostFinite, 0, 1, kMostFinite}, rule);
      EXPECT_TRUE(std::isfinite(params[0]) && params[0] >= 0x1p-126f) << name;
      const CodeRange range = format.system->codes(format);
      for (int32_t code : {range.min, range.max}) {
        float y;
        decode(format, params.data(), &code, 1, &y);
        EXPECT_TRUE(std::isfinite(y)) << name << " code " << code;
      }
    }
}

TEST(Linear, NanGivesTheZeroPointAndInfinitiesSaturate) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(linear_codes("uint8", {0.5f, 7}, {nan, kInf, -kInf}), (std::vector<int32_t>{7, 255, 0}));
  EXPECT_EQ(linear_codes("int8", {0.5f, 0}, {nan, kInf, -kInf}), (std::vector<int32_t>{0, 127, -127}));
}

TEST(Linear, GivenRangeIsCovered) {
  const NumberFormat format = parse_number_format("uint8");
  float params[2];
  format.system->fit(format, std::vector<float>{1, 2, 3}, {}, {FitRule::range, -1, 4.1f}, params);
  // scale = 5.1 / 255 = 0.02, zero point = 1 / 0.02 = 50
  EXPECT_FLOAT_EQ(params[0], 0.02f);
  EXPECT_EQ(params[1], 50);
}

TEST(Linear, NamesReadBack) {
  for (const char* name : {"int8", "int8-full", "int8-asym", "int8-asym-narrow", "uint8", "uint8-sym", "int1", "uint1",
                           "int16", "uint16", "std-int4", "std-uint3"})
    EXPECT_EQ(to_string(parse_number_format(name)), name);
  const NumberFormat int8 = parse_number_format("int8");
  EXPECT_TRUE(int8.bits == 8 && !int8.asymmetric && int8.narrow);
  EXPECT_TRUE(parse_number_format("uint8").asymmetric);
  EXPECT_TRUE(is_linear(int8));
  EXPECT_FALSE(is_linear(parse_number_format("std-int8")));
}

TEST(Linear, UnknownNamesAreRefusedWithNearOnes) {
  for (const char* name : {"", "int", "int0", "int17", "int08", "int8x", "uint8-full", "int1-asym", "std-", "nosuch"})
    EXPECT_THROW(parse_number_format(name), Error) << name;
  try {
    parse_number_format("itn8");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("int8"), std::string::npos) << error.message();
  }
}

TEST(Linear, VectorLoopsEqualTheDefinitionOnEveryTarget) {
  Random random(3);
  std::vector<float> x;
  for (int i = 0; i < 5003; ++i) x.push_back(static_cast<float>(random.normal() * std::pow(10.0, random.below(9) - 4)));
  for (int i = -300; i < 300; ++i) x.push_back((static_cast<float>(i) + 0.5f) * 0.37f);
  for (float v : {kInf, -kInf, std::numeric_limits<float>::quiet_NaN(), 0.0f, -0.0f, 1e-45f, kMostFinite})
    x.push_back(v);
  for (const char* name : {"int8", "uint8", "int4", "int16", "uint16", "int1"}) {
    const NumberFormat format = parse_number_format(name);
    const CodeRange range = format.system->codes(format);
    for (float zero_point : {0.0f, static_cast<float>(range.max / 3)}) {
      const float params[2] = {0.37f, zero_point};
      for (uint32_t targets = static_cast<uint32_t>(hwy::SupportedTargets()); targets != 0; targets &= targets - 1) {
        hwy::SetSupportedTargetsForTest(targets & (0 - targets));
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        std::vector<int32_t> codes(x.size());
        std::vector<float> y(x.size());
        encode(format, params, x.data(), static_cast<int64_t>(x.size()), codes.data());
        decode(format, params, codes.data(), static_cast<int64_t>(x.size()), y.data());
        for (size_t i = 0; i < x.size(); ++i) {
          const LinearParams p{params[0], static_cast<int32_t>(zero_point)};
          ASSERT_EQ(codes[i], linear_encode(x[i], p, range)) << name << " x=" << x[i];
          ASSERT_EQ(y[i], linear_decode(codes[i], p)) << name;
        }
        hwy::SetSupportedTargetsForTest(0);
      }
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    }
  }
}

TEST(Linear, MseFitIsNoWorseThanTwoHundredClippingRanges) {
  Random random(7);
  for (int trial = 0; trial < 40; ++trial)
    for (const char* name : {"int8", "int4", "int3", "int2", "uint4", "int4-asym", "uint2", "uint4-sym"}) {
      std::vector<float> x, importance;
      for (int i = 0; i < 5 + 20 * (trial % 8); ++i) {
        const double value = random.normal();
        x.push_back(static_cast<float>(trial % 3 == 0 ? value : value * value * value + 0.3 * (trial % 2)));
        if (trial % 2) importance.push_back(static_cast<float>(random.uniform()));
      }
      const NumberFormat format = parse_number_format(name);
      const auto [low, high] = std::minmax_element(x.begin(), x.end());
      double brute = std::numeric_limits<double>::infinity();
      for (int i = 1; i <= 200; ++i) {
        const float share = static_cast<float>(i) / 200;
        const LinearParams p = linear_params(format, *low * share, *high * share);
        const float params[2] = {p.scale, static_cast<float>(p.zero_point)};
        brute = std::min(brute, error_of(format, params, x, importance));
      }
      const std::vector<float> params = fitted_linear(name, x, FitRule::mse, importance);
      EXPECT_LE(error_of(format, params.data(), x, importance), brute * (1 + 1e-6)) << name << " trial " << trial;
    }
}

RC_GTEST_PROP(Linear, ErrorIsAtMostHalfAStepInsideTheRange, (std::vector<float> raw)) {
  std::vector<float> x;
  for (float value : raw)
    if (std::isfinite(value) && std::abs(value) < 1e30f) x.push_back(value);
  const std::string name = *rc::gen::element<std::string>("int8", "int5", "int16", "uint8-sym");
  const NumberFormat format = parse_number_format(name);
  const std::vector<float> params = fitted_linear(name.c_str(), x);
  for (float value : x) {
    int32_t code;
    float y;
    encode(format, params.data(), &value, 1, &code);
    decode(format, params.data(), &code, 1, &y);
    // Half a step, plus the rounding of x / scale and of the product (2^-24 each, relative).
    const double slack = 0x1p-22 * (std::abs(static_cast<double>(value)) + static_cast<double>(params[0]));
    RC_ASSERT(std::abs(static_cast<double>(value) - static_cast<double>(y)) <=
              0.5 * static_cast<double>(params[0]) + slack);
  }
}

}  // namespace
}  // namespace lowbit
