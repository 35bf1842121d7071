#include "lowbit/runtime/requantize.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "lowbit/base/random.h"

namespace lowbit {
namespace {

/// Independent: long double has a 64-bit significand, so a product of 40 by 24 bits is exact.
int32_t oracle(int64_t acc, float m, OutputCodes out) {
  const long double exact = static_cast<long double>(acc) * static_cast<long double>(m);
  const long double rounded = std::nearbyintl(exact) + out.zero_point;
  if (rounded < out.low) return out.low;
  return rounded > out.high ? out.high : static_cast<int32_t>(rounded);
}

RC_GTEST_PROP(Requantize, RoundsTheExactProductOnce, (int64_t seed)) {
  Random random(static_cast<uint64_t>(seed));
  for (int i = 0; i < 200; ++i) {
    const int64_t acc = static_cast<int64_t>(random.bits()) >> (24 + random.below(39));
    const float m = static_cast<float>(std::ldexp(0.5 + random.uniform() / 2, static_cast<int>(random.below(40)) - 36));
    const OutputCodes out{static_cast<int32_t>(random.below(256)), 0, 255};
    RC_ASSERT(requantize(acc, m, out) == oracle(acc, m, out));
    RC_ASSERT(requantize_exact(acc, m, out) == oracle(acc, m, out));
  }
}

TEST(Requantize, TiesGoToEven) {
  const OutputCodes out{0, -1000, 1000};
  for (int32_t acc = -99; acc <= 99; acc += 2) {
    const int32_t expected =
        (acc - 1) / 2 % 2 == 0 && acc > 0 ? (acc - 1) / 2 : static_cast<int32_t>(std::nearbyint(acc / 2.0));
    EXPECT_EQ(requantize(acc, 0.5f, out), expected) << acc;
    EXPECT_EQ(requantize_exact(acc, 0.5f, out), expected) << acc;
  }
}

TEST(Requantize, ExtremesSaturateInsteadOfWrapping) {
  const OutputCodes out{128, 0, 255};
  for (float m : {1e-38f, 1e-10f, 1.0f, 1e10f, 3e38f}) {
    EXPECT_EQ(requantize(INT64_MAX, m, out), oracle(INT64_MAX, m, out)) << m;
    EXPECT_EQ(requantize(INT64_MIN + 1, m, out), oracle(INT64_MIN + 1, m, out)) << m;
    EXPECT_EQ(requantize(0, m, out), 128);
  }
}

TEST(Requantize, LayerRowsAreFloat32ArithmeticRoundedToEven) {
  Random random(5);
  std::vector<int32_t> acc(1001), codes(1001);
  std::vector<int64_t> wide(1001);
  std::vector<float> m(1001);
  for (size_t i = 0; i < acc.size(); ++i) {
    acc[i] = static_cast<int32_t>(random.bits()) >> random.below(24);
    m[i] = i % 3 == 0 ? std::ldexp(1.0f, -static_cast<int>(random.below(8)))
                      : static_cast<float>(random.uniform() * 1e-3);  // powers of two make ties
    wide[i] = acc[i];
  }
  const OutputCodes out{3, 0, 255};
  const auto expected = [&](size_t i) {
    const float rounded = std::nearbyintf(static_cast<float>(acc[i]) * m[i]);
    return static_cast<int32_t>(std::min(std::max(rounded + 3.0f, 0.0f), 255.0f));
  };
  requantize_row(acc.data(), m.data(), 1001, out, codes.data());
  for (size_t i = 0; i < acc.size(); ++i) ASSERT_EQ(codes[i], expected(i)) << acc[i] << " * " << m[i];
  requantize_row(wide.data(), m.data(), 1001, out, codes.data());
  for (size_t i = 0; i < acc.size(); ++i) ASSERT_EQ(codes[i], expected(i));
}

}  // namespace
}  // namespace lowbit
