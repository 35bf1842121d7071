#include "lowbit/search/verdict.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/search/divergence.h"

namespace lowbit::search {
namespace {

SampleResults pairs(int both, int only_float, int only_low, int none) {
  SampleResults results;
  const auto add = [&](int count, uint8_t a, uint8_t b) {
    results.float_right.insert(results.float_right.end(), static_cast<size_t>(count), a);
    results.low_right.insert(results.low_right.end(), static_cast<size_t>(count), b);
    results.divergence.insert(results.divergence.end(), static_cast<size_t>(count), 0.5);
  };
  add(both, 1, 1);
  add(only_float, 1, 0);
  add(only_low, 0, 1);
  add(none, 0, 0);
  return results;
}

TEST(Verdict, CountsATargetAsMetOnlyIfTheWholeIntervalIsWithinIt) {
  const Drop drop = measure_drop(Measure::accuracy, pairs(900, 12, 8, 80));
  EXPECT_NEAR(drop.value, 0.4, 1e-12);  // 12 - 8 of 1,000
  EXPECT_EQ(drop.samples, 1000);
  EXPECT_NEAR(drop.loss, 0.5, 1e-12);
  EXPECT_EQ(judge(drop, 5), Verdict::met);
  EXPECT_EQ(judge(drop, 0.5), Verdict::not_shown);
  EXPECT_EQ(judge(drop, 0.3), Verdict::missed);
}

TEST(Verdict, SaysHowManySamplesWouldShowIt) {
  const Drop drop = measure_drop(Measure::accuracy, pairs(900, 12, 8, 80));
  const double half = drop.ci95.high - drop.value;
  EXPECT_NEAR(static_cast<double>(samples_needed(drop, 0.5)), 1000 * half * half / 0.01,
              1000 * half * half / 0.01 * 0.01);
  EXPECT_EQ(samples_needed(drop, 0.3), 0);
  EXPECT_EQ(samples_needed(drop, 5), 0);
}

TEST(Verdict, MeasuresDisagreementWithoutLabels) {
  SampleResults results;
  results.low_right.assign(100, 1);
  results.low_right[3] = 0;
  const Drop drop = measure_drop(Measure::agreement, results);
  EXPECT_NEAR(drop.value, 1, 1e-12);
  EXPECT_GT(drop.ci95.high, 3);  // Wilson: 5.45 % at 1 of 100
  EXPECT_NEAR(drop.ci95.high, 5.45, 0.01);
}

TEST(Verdict, MeasuresTheErrorOfOutputsThatAreNoClasses) {
  SampleResults results;
  results.noise.assign(50, 0.04);
  results.signal.assign(50, 4);
  const Drop drop = measure_drop(Measure::output_error, results);
  EXPECT_NEAR(drop.value, 10, 1e-9);
  EXPECT_NEAR(drop.ci95.low, 10, 1e-9);
}

TEST(Divergence, IsZeroForEqualRowsAndTheKlDivergenceOtherwise) {
  const std::vector<float> p = {0.75f, 0.25f}, q = {0.5f, 0.5f}, nan = {NAN, 1};
  EXPECT_EQ(divergence(OutputKind::probabilities, p, p), 0);
  EXPECT_NEAR(divergence(OutputKind::probabilities, p, q), 0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-9);
  EXPECT_NEAR(divergence(OutputKind::values, q, p), 0.125 / 0.5, 1e-9);
  EXPECT_EQ(divergence(OutputKind::probabilities, p, nan), kWorstDivergence);
}

TEST(Divergence, TellsProbabilitiesFromScoresAndValues) {
  EXPECT_EQ(output_kind(Tensor::from<float>({2, 2}, {0.25f, 0.75f, 1, 0}), false), OutputKind::probabilities);
  EXPECT_EQ(output_kind(Tensor::from<float>({2, 1}, {0.25f, 1}), false), OutputKind::chances);
  EXPECT_EQ(output_kind(Tensor::from<float>({1, 2}, {3, -1}), true), OutputKind::scores);
  EXPECT_EQ(output_kind(Tensor::from<float>({1, 2}, {3, -1}), false), OutputKind::values);
}

}  // namespace
}  // namespace lowbit::search
