#include "lowbit/observe/exact_sum.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "tests/observe/sample_data.h"

namespace lowbit {
namespace {

using testing::DataKind;
using testing::sample_values;

/// The sum in units of 2^-149 by schoolbook arithmetic: mantissas are summed per exponent, then Horner with doubling.
ExactSum::Limbs schoolbook_sum(const std::vector<float>& x) {
  std::array<int64_t, 255> mantissas{};
  for (float v : x) {
    const auto bits = std::bit_cast<uint32_t>(v);
    const uint32_t biased = bits >> 23 & 255;
    const int64_t mantissa = (bits & 0x7fffff) | (biased ? 0x800000 : 0);
    mantissas[biased ? biased - 1 : 0] += bits >> 31 ? -mantissa : mantissa;
  }
  ExactSum::Limbs limbs{};
  for (size_t e = mantissas.size(); e-- > 0;) {
    for (size_t i = limbs.size(); i-- > 0;) limbs[i] = limbs[i] << 1 | (i > 0 ? limbs[i - 1] >> 63 : 0);
    const int64_t add = mantissas[e];
    unsigned carry = 0;
    for (size_t i = 0; i < limbs.size(); ++i) {
      const uint64_t digit = i == 0 ? static_cast<uint64_t>(add) : add < 0 ? ~uint64_t{0} : 0;
      const auto sum = static_cast<unsigned __int128>(limbs[i]) + digit + carry;
      limbs[i] = static_cast<uint64_t>(sum);
      carry = static_cast<unsigned>(sum >> 64);
    }
  }
  return limbs;
}

void keep_finite(std::vector<float>& x) {
  std::erase_if(x, [](float v) { return !std::isfinite(v); });
}

RC_GTEST_PROP(ExactSum, equals_the_schoolbook_sum_of_any_values, ()) {
  const auto kind = static_cast<DataKind>(*rc::gen::inRange(0, testing::kDataKinds));
  std::vector<float> x = sample_values(kind, *rc::gen::inRange(0, 5000), *rc::gen::arbitrary<uint32_t>());
  keep_finite(x);
  ExactSum sum;
  sum.add(x);
  RC_ASSERT(sum.limbs() == schoolbook_sum(x));
}

RC_GTEST_PROP(ExactSum, value_is_the_correctly_rounded_sum, ()) {
  // Multiples of 2^-40 below 2^20: 500 of them add exactly in a long double (64 bits), which is then rounded once.
  const auto numbers = *rc::gen::container<std::vector<int32_t>>(rc::gen::inRange(-(1 << 24), 1 << 24));
  std::vector<float> x;
  long double oracle = 0;
  for (size_t i = 0; i < std::min<size_t>(numbers.size(), 500); ++i) {
    x.push_back(std::ldexp(static_cast<float>(numbers[i]), -static_cast<int>(i % 31) - 5));
    oracle += x.back();
  }
  ExactSum sum;
  sum.add(x);
  RC_ASSERT(sum.value() == static_cast<double>(oracle));
}

TEST(ExactSum, rounds_ties_to_even_and_sees_what_lies_far_below) {
  const auto sum_of = [](std::vector<float> x) {
    ExactSum sum;
    sum.add(x);
    return sum.value();
  };
  const float big = 0x1p60f;
  EXPECT_EQ(sum_of({big, 0x1p7f}), 0x1p60);                     // a tie, to even
  EXPECT_EQ(sum_of({big, 0x1p7f, 0x1p-149f}), 0x1p60 + 0x1p8);  // above the tie by the least denormal
  EXPECT_EQ(sum_of({big, 0x1p8f, 0x1p7f}), 0x1p60 + 0x1p9);     // a tie, to even upwards
  EXPECT_EQ(sum_of({-big, -0x1p7f, -0x1p-149f}), -0x1p60 - 0x1p8);
  EXPECT_EQ(sum_of({0x1p127f, 1.0f, -0x1p127f}), 1.0);
  EXPECT_EQ(sum_of({0x1p-149f, 0x1p-149f}), 0x1p-148);
  EXPECT_EQ(sum_of({-0x1p-149f}), -0x1p-149);
  EXPECT_EQ(sum_of({}), 0.0);
  EXPECT_EQ(sum_of({-0.0f}), 0.0);
  EXPECT_EQ(sum_of(std::vector<float>(3000, std::numeric_limits<float>::max())),
            3000.0 * static_cast<double>(std::numeric_limits<float>::max()));
}

TEST(ExactSum, refuses_non_finite_values) {
  ExactSum sum;
  EXPECT_THROW(sum.add(std::vector<float>{1.0f, std::numeric_limits<float>::quiet_NaN()}), Error);
  EXPECT_THROW(sum.add(std::vector<float>{-std::numeric_limits<float>::infinity()}), Error);
}

}  // namespace
}  // namespace lowbit
