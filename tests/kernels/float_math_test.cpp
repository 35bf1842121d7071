#include "lowbit/kernels/float_math.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "lowbit/kernels/float_layer.h"

namespace lowbit::kernels {
namespace {

using Function = void (*)(int64_t n, const float* x, float* y) noexcept;

struct FunctionRow {
  const char* name;
  Function FloatMathKernels::*member;
  double (*exact)(double x);
  double ulps;  ///< bound of float_math.h; 0: the absolute bound
  double absolute;
};

const FunctionRow kFunctions[] = {
    {"exp", &FloatMathKernels::exp, [](double x) { return std::exp(x); }, 2, 0},
    {"sigmoid", &FloatMathKernels::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 3, 0},
    {"tanh", &FloatMathKernels::tanh, [](double x) { return std::tanh(x); }, 3, 0},
    {"erf", &FloatMathKernels::erf, [](double x) { return std::erf(x); }, 3, 0},
    {"gelu", &FloatMathKernels::gelu, [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }, 0, 4e-7},
};

/// Finite floats of every exponent and both signs.
std::vector<float> floats_of_all_sizes() {
  std::vector<float> x;
  for (uint32_t exponent = 1; exponent < 255; ++exponent)
    for (uint32_t i = 0; i < 64; ++i)
      for (uint32_t sign = 0; sign < 2; ++sign)
        x.push_back(std::bit_cast<float>(sign << 31 | exponent << 23 | (i * 2654435761u >> 9 & 0x7fffffu)));
  for (int i = -8800; i <= 8800; ++i) x.push_back(static_cast<float>(i) * 0.01f);
  return x;
}

TEST(FloatMath, FunctionsStayWithinTheStatedBounds) {
  const std::vector<float> x = floats_of_all_sizes();
  std::vector<float> y(x.size());
  for (const FunctionRow& row : kFunctions) {
    (float_row(active_isa()).math->*row.member)(static_cast<int64_t>(x.size()), x.data(), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = row.exact(x[i]);
      const auto nearest = static_cast<float>(exact);
      if (std::abs(exact) < std::numeric_limits<float>::min() && y[i] == 0) continue;
      if (std::isinf(y[i]) && x[i] > 88.37f) continue;
      const double ulp = std::ldexp(1.0, std::max(-126, std::ilogb(nearest)) - 23);
      const double bound =
          row.ulps > 0 ? row.ulps * ulp : row.absolute * std::max(1.0, std::abs(static_cast<double>(x[i])));
      ASSERT_LE(std::abs(static_cast<double>(y[i]) - exact), bound) << row.name << "(" << x[i] << ") = " << y[i];
    }
  }
}

TEST(FloatMath, SpecialArgumentsGiveTheirLimits) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const FloatMathKernels& math = *float_row(active_isa()).math;
  const float x[4] = {-infinity, infinity, nan, -0.0f};
  float y[4];
  math.exp(4, x, y);
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], infinity);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(y[3], 1.0f);
  math.sigmoid(4, x, y);
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], 1.0f);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(y[3], 0.5f);
  math.tanh(4, x, y);
  EXPECT_EQ(y[0], -1.0f);
  EXPECT_EQ(y[1], 1.0f);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_TRUE(std::signbit(y[3]));
}

TEST(FloatMath, EveryInstructionSetGivesTheSameBits) {
  std::vector<float> x = floats_of_all_sizes();
  x.resize(x.size() - 5);  // a tail
  std::vector<float> expected(x.size()), y(x.size());
  const auto n = static_cast<int64_t>(x.size());
  for (const FloatRow& row : float_table()) {
    if (!isa_row(row.isa).supported) continue;
    for (const FunctionRow& function : kFunctions) {
      (ref::float_math_kernels.*function.member)(n, x.data(), expected.data());
      (row.math->*function.member)(n, x.data(), y.data());
      EXPECT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0)
          << function.name << " on " << isa_row(row.isa).name;
    }
  }
}

std::vector<float> random_floats(int64_t n, float limit) {
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(*rc::gen::inRange(-10000, 10001)) * limit / 10000.0f;
  return x;
}

TEST(FloatMath, SoftmaxOfEveryInstructionSetIsTheSameAndSumsToOne) {
  EXPECT_TRUE(rc::check([] {
    const int64_t rows = *rc::gen::inRange<int64_t>(1, 4), n = *rc::gen::inRange<int64_t>(1, 70);
    std::vector<float> x = random_floats(rows * n, 20);
    if (n > 2 && *rc::gen::arbitrary<bool>()) x[1] = -std::numeric_limits<float>::infinity();  // a masked position
    std::vector<float> expected(x.size());
    ref::float_math_kernels.softmax(rows, n, x.data(), n, expected.data(), n);
    for (int64_t row = 0; row < rows; ++row) {
      double total = 0, most = -1e30, exact_total = 0;
      const float* in = x.data() + row * n;
      for (int64_t i = 0; i < n; ++i) most = std::max(most, static_cast<double>(in[i]));
      for (int64_t i = 0; i < n; ++i) exact_total += std::exp(in[i] - most);
      for (int64_t i = 0; i < n; ++i) {
        const double value = expected[static_cast<size_t>(row * n + i)];
        total += value;
        RC_ASSERT(std::abs(value - std::exp(in[i] - most) / exact_total) < 1e-6);
      }
      RC_ASSERT(std::abs(total - 1) < 1e-5);
    }
    for (const FloatRow& row : float_table()) {
      if (!isa_row(row.isa).supported) continue;
      std::vector<float> y(x.size());
      row.math->softmax(rows, n, x.data(), n, y.data(), n);
      RC_ASSERT(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0);
    }
  }));
}

TEST(FloatMath, LayerNormOfEveryInstructionSetIsTheSameAndRight) {
  EXPECT_TRUE(rc::check([] {
    const int64_t n = *rc::gen::inRange<int64_t>(1, 80);
    const std::vector<float> x = random_floats(n, 3), scale = random_floats(n, 2), bias = random_floats(n, 1);
    const bool has_bias = *rc::gen::arbitrary<bool>();
    std::vector<float> expected(x.size());
    ref::float_math_kernels.layer_norm(1, n, x.data(), n, scale.data(), has_bias ? bias.data() : nullptr, 1e-3f,
                                       expected.data(), n);
    double mean = 0, variance = 0;
    for (float v : x) mean += static_cast<double>(v) / static_cast<double>(n);
    for (float v : x) variance += (v - mean) * (v - mean) / static_cast<double>(n);
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = (x[i] - mean) / std::sqrt(variance + 1e-3) * scale[i] + (has_bias ? bias[i] : 0);
      RC_ASSERT(std::abs(static_cast<double>(expected[i]) - exact) < 1e-4);
    }
    for (const FloatRow& row : float_table()) {
      if (!isa_row(row.isa).supported) continue;
      std::vector<float> y = x;  // in place
      row.math->layer_norm(1, n, y.data(), n, scale.data(), has_bias ? bias.data() : nullptr, 1e-3f, y.data(), n);
      RC_ASSERT(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0);
    }
  }));
}

}  // namespace
}  // namespace lowbit::kernels
