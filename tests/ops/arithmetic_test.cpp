#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "tests/ops/single_op.h"

namespace lowbit {
namespace {

/// A shape that broadcasts to `dims`: leading dimensions dropped, others replaced by 1 at random.
Dims broadcastable(const Dims& dims) {
  Dims result(dims.begin() + *rc::gen::inRange<int64_t>(0, static_cast<int64_t>(dims.size()) + 1), dims.end());
  for (int64_t& dim : result)
    if (*rc::gen::inRange(0, 2) == 0) dim = 1;
  return result;
}

int32_t broadcast_at(const Tensor& x, const Dims& at) {
  Dims own(at.end() - static_cast<int64_t>(x.dims().size()), at.end());
  for (size_t i = 0; i < own.size(); ++i)
    if (x.dims()[i] == 1) own[i] = 0;
  return x.values<int32_t>()[static_cast<size_t>(flat_index(own, x.dims()))];
}

RC_GTEST_PROP(Broadcasting, EqualsIndexArithmetic, ()) {
  const Dims dims = random_dims(5, 0, 4);
  const Tensor a = random_ints(broadcastable(dims)), b = random_ints(broadcastable(dims));
  const Dims expected = broadcast_dims(a.dims(), b.dims());
  const Tensor y = run_one("Sub", {a, b});
  RC_ASSERT(y.dims() == expected);
  for (int64_t i = 0; i < y.count(); ++i) {
    const Dims at = coordinates(i, expected);
    RC_ASSERT(y.values<int32_t>()[static_cast<size_t>(i)] == broadcast_at(a, at) - broadcast_at(b, at));
  }
}

RC_GTEST_PROP(Where, EqualsIndexArithmetic, ()) {
  const Dims dims = random_dims(4, 0, 4);
  const Tensor condition = random_ints(broadcastable(dims)).cast(DType::bool_);
  const Tensor a = random_ints(broadcastable(dims)), b = random_ints(broadcastable(dims));
  const Tensor y = run_one("Where", {condition, a, b}), flags = condition.cast(DType::int32);
  RC_ASSERT(y.dims() == broadcast_dims(condition.dims(), broadcast_dims(a.dims(), b.dims())));
  for (int64_t i = 0; i < y.count(); ++i) {
    const Dims at = coordinates(i, y.dims());
    const int32_t expected = broadcast_at(flags, at) ? broadcast_at(a, at) : broadcast_at(b, at);
    RC_ASSERT(y.values<int32_t>()[static_cast<size_t>(i)] == expected);
  }
}

TEST(Broadcasting, LongRunsAreCutAmongThreadsWithoutLoss) {
  Tensor a(DType::float32, {3, 70001}), b(DType::float32, {70001});
  for (int64_t i = 0; i < a.count(); ++i) a.mutable_data<float>()[i] = static_cast<float>(i % 1000);
  for (int64_t i = 0; i < b.count(); ++i) b.mutable_data<float>()[i] = static_cast<float>(i % 77);
  const Tensor y = run_one("Add", {a, b}), same = run_one("Add", {a, a});
  for (int64_t i = 0; i < y.count(); ++i) {
    ASSERT_EQ(y.data<float>()[i], static_cast<float>(i % 1000 + i % 70001 % 77)) << i;
    ASSERT_EQ(same.data<float>()[i], static_cast<float>(2 * (i % 1000))) << i;
  }
}

TEST(Broadcasting, AnEmptyOutputCostsNothingHoweverLargeTheOtherDimensions) {
  const Tensor a(DType::float32, {int64_t{1} << 40, 0}), b(DType::float32, {1, 1});
  EXPECT_EQ(run_one("Mul", {a, b}).count(), 0);
}

TEST(Broadcasting, RefusesShapesAndTypesThatDoNotFit) {
  const Tensor a(DType::float32, {2, 3}), b(DType::float32, {2}), c(DType::float64, {3});
  EXPECT_THROW(run_one("Add", {a, b}), Error);
  EXPECT_THROW(run_one("Add", {a, c}), Error);
  EXPECT_THROW(run_one("And", {a, a}), Error);
}

template <typename T>
void expect_division_refused() {
  const Tensor one = Tensor::scalar<T>(1), zero = Tensor::scalar<T>(0);
  EXPECT_THROW(run_one("Div", {one, zero}), Error);
  EXPECT_THROW(run_one("Mod", {one, zero}), Error);
  if constexpr (std::is_signed_v<T>) {
    const Tensor lowest = Tensor::scalar<T>(std::numeric_limits<T>::min()), minus_one = Tensor::scalar<T>(-1);
    EXPECT_THROW(run_one("Div", {lowest, minus_one}), Error);
    EXPECT_EQ(run_one("Mod", {lowest, minus_one}).template data<T>()[0], 0);
  }
}

TEST(IntegerDivision, WhatHasNoResultIsAnErrorForEveryType) {
  expect_division_refused<int8_t>();
  expect_division_refused<int16_t>();
  expect_division_refused<int32_t>();
  expect_division_refused<int64_t>();
  expect_division_refused<uint8_t>();
  expect_division_refused<uint16_t>();
  expect_division_refused<uint32_t>();
  expect_division_refused<uint64_t>();
}

TEST(IntegerDivision, TheErrorNamesTheNode) {
  try {
    run_one("Div", {ints({4, 2}), ints({1, 0})});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_NE(std::string(error.what()).find("tested"), std::string::npos) << error.what();
  }
}

TEST(IntegerDivision, RoundsTowardZeroAndModFollowsTheAttribute) {
  const Tensor a = ints({-7, 7, -7, 7}), b = ints({2, 2, -2, -2});
  EXPECT_EQ(values_of<int64_t>(run_one("Div", {a, b})), (std::vector<int64_t>{-3, 3, 3, -3}));
  EXPECT_EQ(values_of<int64_t>(run_one("Mod", {a, b})), (std::vector<int64_t>{1, 1, -1, -1}));
  EXPECT_EQ(values_of<int64_t>(run_one("Mod", {a, b}, {{"fmod", int64_t{1}}})), (std::vector<int64_t>{-1, 1, -1, 1}));
}

TEST(IntegerArithmetic, Wraps) {
  const auto u16 = Tensor::from<uint16_t>({1}, {65535});
  EXPECT_EQ(run_one("Mul", {u16, u16}).data<uint16_t>()[0], 1);
  const auto top = Tensor::scalar<int64_t>(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(run_one("Add", {top, Tensor::scalar<int64_t>(1)}).data<int64_t>()[0], std::numeric_limits<int64_t>::min());
  const auto low = Tensor::scalar<int32_t>(std::numeric_limits<int32_t>::min());
  EXPECT_EQ(run_one("Neg", {low}).data<int32_t>()[0], std::numeric_limits<int32_t>::min());
}

TEST(Shift, BeyondTheWidthLeavesTheFill) {
  const auto x = Tensor::from<uint8_t>({3}, {255, 255, 1}), by = Tensor::from<uint8_t>({3}, {8, 4, 200});
  EXPECT_EQ(values_of<uint8_t>(run_one("BitShift", {x, by}, {{"direction", std::string("LEFT")}})),
            (std::vector<uint8_t>{0, 240, 0}));
  EXPECT_THROW(run_one("BitShift", {x, by}, {{"direction", std::string("UP")}}), Error);
}

TEST(HalfPrecision, IsComputedInFloatAndRoundedOnce) {
  // 2049 is no float16: the sum of three must be rounded at the end, not after each addition.
  const Tensor big = Tensor::scalar<float>(2048).cast(DType::float16),
               one = Tensor::scalar<float>(1).cast(DType::float16);
  const Tensor sum = run_one("Sum", {big, one, one});
  EXPECT_EQ(sum.dtype(), DType::float16);
  EXPECT_EQ(to_float32(sum).data<float>()[0], 2050.0f);
}

TEST(MinMax, NanWins) {
  const auto a = Tensor::from<float>({2}, {NAN, 1.0f}), b = Tensor::from<float>({2}, {1.0f, NAN});
  for (const char* op : {"Max", "Min"}) {
    const Tensor y = run_one(op, {a, b});
    for (float value : y.values<float>()) EXPECT_TRUE(std::isnan(value)) << op;
  }
}

TEST(Clip, AbsentBoundsAreOpenAndNanPasses) {
  const auto x = Tensor::from<float>({3}, {-INFINITY, NAN, 5.0f});
  const Tensor y = run_one("Clip", {x, Tensor(), Tensor::scalar<float>(2.0f)});
  EXPECT_EQ(y.data<float>()[0], -INFINITY);
  EXPECT_TRUE(std::isnan(y.data<float>()[1]));
  EXPECT_EQ(y.data<float>()[2], 2.0f);
}

TEST(Pow, IntegerBasesStayExact) {
  EXPECT_EQ(run_one("Pow", {Tensor::scalar<int64_t>(3), Tensor::scalar<int64_t>(39)}).data<int64_t>()[0],
            4052555153018976267);
  EXPECT_THROW(run_one("Pow", {Tensor::scalar<int64_t>(0), Tensor::scalar<int64_t>(-1)}), Error);
}

}  // namespace
}  // namespace lowbit
