#include "lowbit/core/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lowbit {
namespace {

TEST(Tensor, CopiesBehaveAsValues) {
  Tensor a = Tensor::from<float>({2}, {1, 2});
  const Tensor b = a;
  a.mutable_data<float>()[0] = 9;
  EXPECT_EQ(b.data<float>()[0], 1);
  EXPECT_EQ(a.data<float>()[0], 9);
}

TEST(Tensor, WritingToAViewLeavesTheOwnerAlone) {
  const auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  Tensor view = Tensor::view(DType::float32, {3}, std::as_bytes(std::span(*owner)), owner);
  EXPECT_TRUE(view.is_view());
  view.mutable_data<float>()[1] = 7;
  EXPECT_EQ((*owner)[1], 2);
  EXPECT_FALSE(view.is_view());
}

TEST(Tensor, BytesThatDoNotFillTheShapeAreRefused) {
  const std::vector<std::byte> bytes(7);
  EXPECT_THROW(Tensor::view(DType::float32, {2}, bytes, nullptr), Error);
  EXPECT_THROW(Tensor::from<float>({3}, {1, 2}), Error);
  EXPECT_THROW(Tensor(DType::float32, {int64_t{1} << 40, int64_t{1} << 40}), Error);
  EXPECT_THROW(Tensor(DType::float32, {-1}), Error);
}

TEST(Tensor, TheWrongTypeIsABugNotAReading) { EXPECT_THROW(Tensor(DType::float32, {1}).data<int32_t>(), Error); }

TEST(Tensor, CastsSaturateFloatsAndWrapIntegers) {
  const Tensor x = Tensor::from<float>({4}, {1e20f, -1e20f, std::nanf(""), 2.9f});
  const Tensor y = x.cast(DType::int32);
  EXPECT_EQ(y.data<int32_t>()[0], std::numeric_limits<int32_t>::max());
  EXPECT_EQ(y.data<int32_t>()[1], std::numeric_limits<int32_t>::min());
  EXPECT_EQ(y.data<int32_t>()[2], 0);
  EXPECT_EQ(y.data<int32_t>()[3], 2);
  EXPECT_EQ(Tensor::scalar<int64_t>(300).cast(DType::uint8).data<uint8_t>()[0], 44);
  EXPECT_EQ(Tensor::scalar<int64_t>(9).cast(DType::int4).data<int8_t>()[0], -7);
  EXPECT_EQ(Tensor::scalar<float>(0.5f).cast(DType::bool_).data<bool>()[0], true);
}

TEST(Shape, BroadcastsAsNumPyDoes) {
  EXPECT_EQ(broadcast_dims({3, 1}, {4}), (Dims{3, 4}));
  EXPECT_EQ(broadcast_dims({}, {2}), (Dims{2}));
  EXPECT_EQ(broadcast_dims({0}, {1}), (Dims{0}));
  EXPECT_THROW(broadcast_dims({2}, {3}), Error);
  EXPECT_THROW(normalize_axis(2, 2), Error);
  EXPECT_EQ(normalize_axis(-1, 3), 2);
}

}  // namespace
}  // namespace lowbit
