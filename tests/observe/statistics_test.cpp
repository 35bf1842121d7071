#include "lowbit/observe/statistics.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "lowbit/observe/accumulate.h"
#include "tests/observe/sample_data.h"

namespace lowbit {
namespace {

using testing::DataKind;
using testing::sample_values;

TensorStatistics statistics_from(const std::vector<float>& x, Dims dims, bool batched, int64_t channel_axis = -1) {
  TensorStatistics statistics;
  statistics.channel_axis = channel_axis;
  statistics.add(Tensor::from(std::move(dims), x), batched);
  return statistics;
}

TensorStatistics statistics_from(const std::vector<float>& x) {
  return statistics_from(x, {static_cast<int64_t>(x.size())}, /*batched=*/false);
}

/// One value at a time, in plain scalar code.
TensorStatistics scalar_statistics(const std::vector<float>& x) {
  TensorStatistics s;
  s.samples = 1;
  for (float v : x) {
    ++s.count;
    if (!std::isfinite(v)) {
      ++s.nonfinite;
      continue;
    }
    s.min = std::min(s.min, v == 0 ? 0.0f : v);
    s.max = std::max(s.max, v == 0 ? 0.0f : v);
    s.sum.add_exact(v);
    s.sum_of_squares.add_exact(std::min(v * v, std::numeric_limits<float>::max()));
    if (v == 0) {
      ++s.zeros;
      s.histogram.add_zeros(1);
      continue;
    }
    const auto top = static_cast<int32_t>(std::bit_cast<uint32_t>(std::fabs(v)) >> 17);
    s.histogram.add_key(v > 0 ? top : -1 - top, 1);
  }
  if (s.finite() > 0) {
    s.finite_samples = 1;
    s.sum_of_sample_minima.add_exact(s.min);
    s.sum_of_sample_maxima.add_exact(s.max);
  }
  return s;
}

std::vector<float> any_values(int most) {
  const auto kind = static_cast<DataKind>(*rc::gen::inRange(0, testing::kDataKinds));
  return sample_values(kind, *rc::gen::inRange(0, most), *rc::gen::arbitrary<uint32_t>());
}

/// Merges the statistics of items [begin, end) as a random tree.
TensorStatistics merge_tree(std::vector<TensorStatistics> parts, Random& random) {
  while (parts.size() > 1) {
    const auto a = static_cast<size_t>(random.below(static_cast<int64_t>(parts.size()) - 1));
    const bool swapped = random.below(2) == 1;
    if (swapped) std::swap(parts[a], parts[a + 1]);
    parts[a].merge(parts[a + 1]);
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(a) + 1);
  }
  return parts.empty() ? TensorStatistics{} : parts[0];
}

RC_GTEST_PROP(Statistics, equal_those_of_plain_scalar_code, ()) {
  const std::vector<float> x = any_values(12000);
  RC_ASSERT(statistics_from(x) == scalar_statistics(x));
}

RC_GTEST_PROP(Statistics, of_any_split_in_any_order_and_nesting_equal_those_of_one_pass, ()) {
  const int64_t samples = *rc::gen::inRange(1, 40), channels = *rc::gen::inRange(1, 4), size = *rc::gen::inRange(1, 60);
  const uint64_t seed = *rc::gen::arbitrary<uint32_t>();
  Random random(seed);
  const int64_t per_sample = channels * size;
  std::vector<float> x;
  for (int64_t i = 0; i < samples; ++i) {
    const auto kind = static_cast<DataKind>(random.below(testing::kDataKinds));
    const std::vector<float> one = sample_values(kind, per_sample, random.bits());
    x.insert(x.end(), one.begin(), one.end());
  }
  const TensorStatistics whole = statistics_from(x, {samples, channels, size}, /*batched=*/true, /*channel_axis=*/1);

  std::vector<int64_t> order(static_cast<size_t>(samples));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i-- > 1;)
    std::swap(order[i], order[static_cast<size_t>(random.below(static_cast<int64_t>(i) + 1))]);
  std::vector<TensorStatistics> parts;
  for (size_t begin = 0; begin < order.size();) {
    const auto n = 1 + static_cast<size_t>(random.below(static_cast<int64_t>(order.size() - begin)));
    std::vector<float> batch;
    for (size_t i = begin; i < begin + n; ++i)
      batch.insert(batch.end(), x.begin() + order[i] * per_sample, x.begin() + (order[i] + 1) * per_sample);
    parts.push_back(
        statistics_from(batch, {static_cast<int64_t>(n), channels, size}, /*batched=*/true, /*channel_axis=*/1));
    begin += n;
  }
  RC_ASSERT(merge_tree(parts, random) == whole);
}

RC_GTEST_PROP(Statistics, of_values_cut_inside_a_sample_have_the_same_values, ()) {
  const std::vector<float> x = any_values(9000);
  const auto cut = static_cast<std::ptrdiff_t>(*rc::gen::inRange<size_t>(0, x.size() + 1));
  TensorStatistics a = statistics_from({x.begin() + cut, x.end()});
  a.merge(statistics_from({x.begin(), x.begin() + cut}));
  const TensorStatistics whole = statistics_from(x);
  RC_ASSERT(a.histogram == whole.histogram);
  RC_ASSERT(a.sum == whole.sum);
  RC_ASSERT(a.sum_of_squares == whole.sum_of_squares);
  RC_ASSERT(a.count == whole.count && a.nonfinite == whole.nonfinite && a.zeros == whole.zeros);
  RC_ASSERT(a.min == whole.min && a.max == whole.max);
}

TEST(Statistics, do_not_depend_on_the_instruction_set) {
  for (int kind = 0; kind < testing::kDataKinds; ++kind) {
    const std::vector<float> x = sample_values(static_cast<DataKind>(kind), 7001, 5);
    const TensorStatistics expected = scalar_statistics(x);
    int targets = 0;
    for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
      hwy::SetSupportedTargetsForTest(target);
      EXPECT_EQ(statistics_from(x), expected) << hwy::TargetName(target) << ", data kind " << kind;
      hwy::SetSupportedTargetsForTest(0);
      ++targets;
    }
    EXPECT_GE(targets, 1);
  }
}

TEST(Statistics, do_not_depend_on_the_threads) {
  // Three parts of 2^18 values, with samples that straddle them.
  const std::vector<float> x = sample_values(DataKind::relu, 7 * 90000, 11);
  const Tensor tensor = Tensor::from({7, 3, 30000}, x);
  TensorStatistics one;
  one.channel_axis = 1;
  one.add(tensor, /*batched=*/true);
  ThreadPool threads(2);
  TensorStatistics two;
  two.channel_axis = 1;
  add_tensor(two, tensor, {/*batched=*/true}, &threads);
  EXPECT_EQ(one, two);
}

TEST(Statistics, keep_denormals_whatever_mode_the_thread_is_in) {
#if defined(__SSE__)
  const std::vector<float> x = sample_values(DataKind::denormal, 3000, 1);
  const TensorStatistics expected = statistics_from(x);
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | 0x8040);
  const TensorStatistics flushed = statistics_from(x);
  EXPECT_EQ(_mm_getcsr() & 0x8040u, 0x8040u);
  _mm_setcsr(mode);
  EXPECT_EQ(flushed, expected);
#else
  GTEST_SKIP() << "the flush-to-zero mode is set in x86 code";
#endif
}

TEST(Statistics, of_a_small_tensor_are_those_found_by_hand) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const TensorStatistics s = statistics_from({1, -2, 0, nan, -0.0f, 4, 3, -inf}, {2, 2, 2}, /*batched=*/true, 1);
  EXPECT_EQ(s.count, 8);
  EXPECT_EQ(s.samples, 2);
  EXPECT_EQ(s.nonfinite, 2);
  EXPECT_EQ(s.zeros, 2);
  EXPECT_EQ(s.min, -2);
  EXPECT_EQ(s.max, 4);
  EXPECT_EQ(s.mean(), 1.0);
  EXPECT_EQ(s.variance(), 4.0);
  EXPECT_EQ(s.sum_of_sample_minima.value(), -2.0 + 0.0);
  EXPECT_EQ(s.sum_of_sample_maxima.value(), 1.0 + 4.0);
  ASSERT_EQ(s.channels.size(), 2u);
  EXPECT_EQ(s.channels[0].min, -2);
  EXPECT_EQ(s.channels[0].max, 4);
  EXPECT_EQ(s.channels[0].count, 4);
  EXPECT_EQ(s.channels[1].sum.value(), 3.0);
  EXPECT_EQ(s.channels[1].count, 2);
  EXPECT_FALSE(std::signbit(s.channels[1].min));
}

TEST(Statistics, without_finite_values_have_no_extremes) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const TensorStatistics& s : {statistics_from({}), statistics_from({nan, nan}), TensorStatistics{}}) {
    EXPECT_GT(s.min, s.max);
    EXPECT_EQ(s.finite(), 0);
    EXPECT_EQ(s.finite_samples, 0);
    EXPECT_EQ(s.mean(), 0.0);
    EXPECT_EQ(s.variance(), 0.0);
  }
}

TEST(Statistics, convert_other_types) {
  TensorStatistics s;
  s.add(Tensor::from<int64_t>({3}, {-1, 0, 2}), false);
  s.add(Tensor::from<double>({2}, {0.5, 1e300}), false);
  EXPECT_EQ(s.count, 5);
  EXPECT_EQ(s.nonfinite, 1);
  EXPECT_EQ(s.sum.value(), 1.5);
}

TEST(Statistics, refuse_channels_that_do_not_fit) {
  TensorStatistics s;
  s.channel_axis = 1;
  EXPECT_THROW(s.add(Tensor::from<float>({2}, {1, 2}), false), Error);
  s.add(Tensor::from<float>({1, 2}, {1, 2}), true);
  EXPECT_THROW(s.add(Tensor::from<float>({1, 3}, {1, 2, 3}), true), Error);
  EXPECT_THROW(s.merge(statistics_from({1, 2, 3}, {1, 3}, true, 1)), Error);
  EXPECT_THROW(s.merge(statistics_from({1, 2}, {1, 2}, true)), Error);
  EXPECT_EQ(s, statistics_from({1, 2}, {1, 2}, true, 1));
}

TEST(StatisticsSet, merges_by_name_and_refuses_another_model) {
  StatisticsSet a{"model", "first", {}}, b{"model", "second", {}};
  a.tensors["x"] = statistics_from({1, 2});
  b.tensors["x"] = statistics_from({3});
  b.tensors["y"] = statistics_from({5});
  a.merge(b);
  EXPECT_EQ(a.data_description, "first; second");
  EXPECT_EQ(a.tensors["x"].count, 3);
  EXPECT_EQ(a.tensors["y"].count, 1);
  StatisticsSet other{"another model", "", {}};
  EXPECT_THROW(a.merge(other), Error);
  StatisticsSet empty;
  empty.merge(a);
  EXPECT_EQ(empty.tensors, a.tensors);
  EXPECT_EQ(empty.model_fingerprint, "model");
}

}  // namespace
}  // namespace lowbit
