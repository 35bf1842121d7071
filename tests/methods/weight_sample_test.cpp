#include "lowbit/methods/weight_sample.h"

#include <gtest/gtest.h>

#include <numeric>

namespace lowbit {
namespace {

Tensor counting(const Dims& dims) {
  Tensor tensor(DType::float32, dims);
  std::iota(tensor.mutable_data<float>(), tensor.mutable_data<float>() + tensor.count(), 0.0F);
  return tensor;
}

TEST(WeightSample, TakesWholeChannelsEvenlySpread) {
  const Tensor weight = counting({16, 2, 3});
  const std::optional<WeightSample> sample = sample_channels(weight, {}, 0, 24);
  ASSERT_TRUE(sample);
  ASSERT_EQ(sample->weight.dims(), (Dims{4, 2, 3}));
  for (int64_t c = 0; c < 4; ++c)
    for (int64_t i = 0; i < 6; ++i)
      EXPECT_EQ(sample->weight.data<float>()[c * 6 + i], static_cast<float>(c * 4 * 6 + i));
}

TEST(WeightSample, TakesChannelsOfAnInnerAxisWithTheirImportance) {
  const Tensor weight = counting({3, 20});
  std::vector<float> importance(60);
  std::iota(importance.begin(), importance.end(), 100.0F);
  const std::optional<WeightSample> sample = sample_channels(weight, importance, 1, 1);
  ASSERT_TRUE(sample);
  ASSERT_EQ(sample->weight.dims(), (Dims{3, 4}));
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t c = 0; c < 4; ++c) {
      EXPECT_EQ(sample->weight.data<float>()[row * 4 + c], static_cast<float>(row * 20 + c * 5));
      EXPECT_EQ(sample->importance[static_cast<size_t>(row * 4 + c)], 100.0F + static_cast<float>(row * 20 + c * 5));
    }
}

TEST(WeightSample, LeavesTensorsAloneOfWhichItWouldTakeMost) {
  EXPECT_FALSE(sample_channels(counting({7, 100}), {}, 0, 1));
  EXPECT_FALSE(sample_channels(counting({64, 8}), {}, 0, 264));
  EXPECT_FALSE(sample_channels(counting({64, 8}), {}, 2, 8));
  EXPECT_FALSE(sample_channels(Tensor(DType::float32, Dims{0, 8}), {}, 0, 8));
}

}  // namespace
}  // namespace lowbit
