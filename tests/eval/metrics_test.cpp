#include "lowbit/eval/metrics.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace lowbit {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Scores ((37 i + 53 c + 11 i c) mod 101) / 8, as in the script that made the expected values.
Tensor score_table(int64_t samples, int64_t classes) {
  std::vector<float> values;
  for (int64_t i = 0; i < samples; ++i)
    for (int64_t c = 0; c < classes; ++c)
      values.push_back(static_cast<float>((37 * i + 53 * c + 11 * i * c) % 101) / 8);
  return Tensor::from<float>({samples, classes}, values);
}

// Every third is (5 i + floor(i / 4)) mod 7, the others are the class of the largest score.
const std::vector<int64_t> kSevenLabels = {0, 4, 3, 1, 0, 2, 3, 1, 0, 5, 2, 4, 0, 0, 6, 1, 4, 2, 3, 0,
                                           5, 5, 1, 6, 0, 3, 4, 1, 3, 2, 3, 4, 6, 5, 2, 6, 0, 6, 0, 1,
                                           6, 3, 3, 1, 2, 5, 4, 1, 0, 0, 0, 1, 5, 5, 3, 5, 2, 5, 2, 0};
// 1 where (score 1 - score 0) + (29 i mod 17) / 2 - 4 > 0.
const std::vector<int64_t> kTwoLabels = {1, 0, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1,
                                         1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 1, 1, 0};

void expect_contains(const Metric& metric) {
  EXPECT_LT(metric.ci95.low, metric.value);
  EXPECT_GT(metric.ci95.high, metric.value);
}

// Oracle of this and the next two: scikit-learn 1.9 (accuracy_score, top_k_accuracy_score, precision_score,
// recall_score and f1_score with average="macro", zero_division=0, confusion_matrix, roc_auc_score).
TEST(ClassificationScores, EqualScikitLearnOnSevenClasses) {
  ClassificationScores scores;
  scores.add(score_table(60, 7), kSevenLabels);
  auto metrics = scores.metrics();
  EXPECT_DOUBLE_EQ(metrics["accuracy"].value, 0.7);
  EXPECT_DOUBLE_EQ(metrics["top5"].value, 0.9);
  EXPECT_NEAR(metrics["precision"].value, 0.7040816326530612, 1e-12);
  EXPECT_NEAR(metrics["recall"].value, 0.7387057387057387, 1e-12);
  EXPECT_NEAR(metrics["f1"].value, 0.708655462184874, 1e-12);
  EXPECT_EQ(metrics.count("auc"), 0u);
  EXPECT_EQ(scores.confusion(), (std::vector<std::vector<int64_t>>{{8, 1, 0, 2, 1, 1, 0},
                                                                   {1, 5, 0, 2, 0, 0, 1},
                                                                   {0, 0, 8, 0, 0, 0, 0},
                                                                   {2, 0, 0, 4, 1, 1, 1},
                                                                   {0, 0, 0, 0, 6, 0, 0},
                                                                   {1, 1, 0, 0, 1, 5, 1},
                                                                   {0, 0, 0, 0, 0, 0, 6}}));
  for (const char* name : {"accuracy", "top5", "precision", "recall", "f1"}) expect_contains(metrics[name]);
}

TEST(ClassificationScores, EqualScikitLearnOnTwoClasses) {
  ClassificationScores scores;
  scores.add(score_table(50, 2), kTwoLabels);
  auto metrics = scores.metrics();
  EXPECT_DOUBLE_EQ(metrics["accuracy"].value, 0.84);
  EXPECT_NEAR(metrics["auc"].value, 0.9371980676328503, 1e-12);
  EXPECT_EQ(metrics.count("top5"), 0u);
  expect_contains(metrics["auc"]);
}

TEST(ClassificationScores, TakeOneColumnAsABinaryScoreWithTies) {
  std::vector<float> values;
  for (int i = 0; i < 50; ++i) values.push_back(static_cast<float>(i * 7 % 11) / 10);
  ClassificationScores scores;
  scores.add(Tensor::from<float>({50, 1}, values), kTwoLabels);
  auto metrics = scores.metrics();
  EXPECT_DOUBLE_EQ(metrics["accuracy"].value, 0.64);  // 0.5 itself is class 0
  EXPECT_NEAR(metrics["auc"].value, 0.6513687600644122, 1e-12);
  ClassificationScores flat;
  flat.add(Tensor::from<float>({50}, values), kTwoLabels);
  EXPECT_EQ(flat.predictions(), scores.predictions());
}

TEST(ClassificationScores, DoNotDependOnTheBatches) {
  ClassificationScores whole, parts;
  const Tensor table = score_table(60, 7);
  whole.add(table, kSevenLabels);
  for (int64_t begin = 0; begin < 60; begin += 20) {
    const std::span<const float> part = table.values<float>().subspan(static_cast<size_t>(begin) * 7, 140);
    parts.add(Tensor::from<float>({20, 7, 1, 1}, part),
              std::span(kSevenLabels).subspan(static_cast<size_t>(begin), 20));
  }
  auto a = whole.metrics(), b = parts.metrics();
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, metric] : a) {
    EXPECT_EQ(metric.value, b[name].value) << name;
    EXPECT_EQ(metric.ci95.low, b[name].ci95.low) << name;
    EXPECT_EQ(metric.ci95.high, b[name].ci95.high) << name;
  }
}

TEST(ClassificationScores, BreakTiesByTheLowestClass) {
  EXPECT_EQ(predicted_classes(Tensor::from<float>({2, 3}, {1, 2, 2, 0, 0, 0})), (std::vector<int64_t>{1, 0}));
  ClassificationScores scores;  // all equal: the first five classes are the top five
  scores.add(Tensor::from<float>({2, 6}, std::vector<float>(12, 1.0f)), std::vector<int64_t>{4, 5});
  EXPECT_DOUBLE_EQ(scores.metrics()["top5"].value, 0.5);
}

TEST(ClassificationScores, CountNanAsWrongAndNeverAsAClass) {
  ClassificationScores scores;
  scores.add(Tensor::from<float>({3, 2}, {1, 0, kNan, 0, 0, kNan}), std::vector<int64_t>{0, 0, 1});
  EXPECT_EQ(scores.predictions(), (std::vector<int64_t>{0, kNoPrediction, kNoPrediction}));
  EXPECT_EQ(scores.invalid_samples(), 2);
  EXPECT_EQ(scores.correct(), (std::vector<uint8_t>{1, 0, 0}));
  EXPECT_DOUBLE_EQ(scores.metrics()["accuracy"].value, 1.0 / 3);
  EXPECT_EQ(scores.confusion(), (std::vector<std::vector<int64_t>>{{1, 0}, {0, 0}}));
}

TEST(ClassificationScores, RefuseWhatDoesNotFit) {
  ClassificationScores scores;
  EXPECT_THROW(scores.add(score_table(2, 3), std::vector<int64_t>{0, 3}), Error);
  EXPECT_THROW(scores.add(score_table(2, 3), std::vector<int64_t>{0, -1}), Error);
  EXPECT_THROW(scores.add(score_table(2, 3), std::vector<int64_t>{0}), Error);
  EXPECT_THROW(predicted_classes(Tensor(DType::float32, {2, 3, 4})), Error);
  EXPECT_THROW(predicted_classes(Tensor(DType::float32, {})), Error);
  EXPECT_TRUE(ClassificationScores().metrics().empty());
}

struct Share {
  int64_t successes, n;
  double low, high;
};
// Oracle: scipy 1.17, binomtest(k, n).proportion_ci(0.95, method="wilson").
const Share kShares[] = {
    {0, 10, 0.0, 0.27753279986288926},
    {10, 10, 0.7224672001371109, 1.0},
    {57, 60, 0.8629948352365148, 0.9828504978356044},
    {1, 300, 0.0005886577218511581, 0.018636693694531237},
    {4061, 5000, 0.8011364649419854, 0.8227841819635209},
};

TEST(Wilson, EqualsScipy) {
  for (const Share& share : kShares) {
    const Interval interval = wilson(share.successes, share.n);
    EXPECT_NEAR(interval.low, share.low, 1e-12) << share.successes << " of " << share.n;
    EXPECT_NEAR(interval.high, share.high, 1e-12) << share.successes << " of " << share.n;
  }
  EXPECT_EQ(wilson(0, 0).high, 1);
}

struct Pairing {
  int both, only_a, only_b, none;
  double low, high;
};
// Oracle: Newcombe's formula 10 in Python with scipy's Wilson limits; the first row is also in his table (0.0569,
// 0.3404).
const Pairing kPairings[] = {
    {36, 12, 2, 0, 0.05692958400323875, 0.3404276029749408},
    {36, 12, 0, 2, 0.1144079800104632, 0.37349555990622585},
    {43, 0, 1, 6, -0.09788738836775639, 0.05175144176468949},
    {54, 0, 0, 0, -0.06641358809089648, 0.06641358809089648},
    {4000, 61, 55, 884, -0.0030625328025746914, 0.005467885394135872},
};

PairedComparison compare_counts(int both, int only_a, int only_b, int none) {
  std::vector<uint8_t> a, b;
  const auto add = [&](int count, uint8_t right_a, uint8_t right_b) {
    a.insert(a.end(), static_cast<size_t>(count), right_a);
    b.insert(b.end(), static_cast<size_t>(count), right_b);
  };
  add(both, 1, 1);
  add(only_a, 1, 0);
  add(only_b, 0, 1);
  add(none, 0, 0);
  return compare_paired(a, b);
}

TEST(ComparePaired, EqualsNewcombesInterval) {
  for (const Pairing& p : kPairings) {
    const PairedComparison result = compare_counts(p.both, p.only_a, p.only_b, p.none);
    const double n = p.both + p.only_a + p.only_b + p.none;
    EXPECT_NEAR(result.difference, (p.only_a - p.only_b) / n, 1e-15);
    EXPECT_NEAR(result.ci95.low, p.low, 1e-12);
    EXPECT_NEAR(result.ci95.high, p.high, 1e-12);
  }
}

TEST(ComparePaired, HasTheExactBinomialP) {
  // Oracle: scipy 1.17, binomtest(min(b, c), b + c, 0.5).pvalue.
  EXPECT_NEAR(compare_counts(5, 12, 2, 5).p_value, 0.012939453125, 1e-14);
  EXPECT_NEAR(compare_counts(5, 30, 10, 5).p_value, 0.0022214337732293643, 1e-14);
  EXPECT_NEAR(compare_counts(5, 0, 7, 5).p_value, 0.015625, 1e-14);
  EXPECT_NEAR(compare_counts(0, 900, 1000, 0).p_value, 0.023108845108901193, 1e-11);
  EXPECT_EQ(compare_counts(5, 5, 5, 5).p_value, 1);
  EXPECT_EQ(compare_counts(5, 0, 0, 5).p_value, 1);
  EXPECT_THROW(compare_paired(std::vector<uint8_t>{1}, std::vector<uint8_t>{}), Error);
}

RC_GTEST_PROP(ComparePaired, ChangesSignWithTheOrder, ()) {
  const auto count = [] { return *rc::gen::inRange(0, 30); };
  const int both = count(), only_a = count(), only_b = count(), none = count();
  const PairedComparison ab = compare_counts(both, only_a, only_b, none),
                         ba = compare_counts(both, only_b, only_a, none);
  RC_ASSERT(ab.difference == -ba.difference);
  RC_ASSERT(ab.p_value == ba.p_value);
  RC_ASSERT(std::abs(ab.ci95.low + ba.ci95.high) < 1e-12);
  RC_ASSERT(ab.ci95.low <= ab.difference && ab.difference <= ab.ci95.high);
}

TEST(Agreement, CountsEqualPredictions) {
  const Metric metric =
      agreement(std::vector<int64_t>{1, 2, 3, kNoPrediction}, std::vector<int64_t>{1, 2, 4, kNoPrediction});
  EXPECT_DOUBLE_EQ(metric.value, 0.5);
  EXPECT_DOUBLE_EQ(metric.ci95.low, wilson(2, 4).low);
  EXPECT_THROW(agreement(std::vector<int64_t>{1}, std::vector<int64_t>{}), Error);
}

TEST(ErrorAccumulator, EqualsNumpy) {
  // Oracle: numpy in float64 on the float32 values.
  ErrorAccumulator errors;
  errors.add(Tensor::from<float>({2}, {1, -2}), Tensor::from<float>({2}, {1.1f, -2.2f}));
  errors.add(Tensor::from<float>({2}, {3, 0.5f}), Tensor::from<float>({2}, {2.9f, 0.5f}));
  const TensorError result = errors.result();
  EXPECT_NEAR(result.sqnr_db, 23.756635794461758, 1e-12);
  EXPECT_NEAR(result.mse, 0.01500000119209588, 1e-15);
  EXPECT_NEAR(result.cosine, 0.9980540899707474, 1e-14);
  EXPECT_NEAR(result.max_abs, 0.20000004768371582, 1e-15);
}

TEST(ErrorAccumulator, HandlesZerosAndNan) {
  const Tensor zero(DType::float32, {3}), some = Tensor::from<float>({3}, {1, 2, 3});
  ErrorAccumulator equal, both_zero, reference_zero, other_zero, broken;
  equal.add(some, some);
  EXPECT_EQ(equal.result().sqnr_db, kInfinity);
  EXPECT_DOUBLE_EQ(equal.result().cosine, 1);
  both_zero.add(zero, zero);
  EXPECT_EQ(both_zero.result().sqnr_db, kInfinity);
  EXPECT_EQ(both_zero.result().cosine, 1);
  reference_zero.add(zero, some);
  EXPECT_EQ(reference_zero.result().sqnr_db, -kInfinity);
  EXPECT_EQ(reference_zero.result().cosine, 0);
  other_zero.add(some, zero);
  EXPECT_EQ(other_zero.result().sqnr_db, 0);
  broken.add(some, Tensor::from<float>({3}, {1, kNan, 3}));
  broken.add(some, zero);
  EXPECT_TRUE(std::isnan(broken.result().sqnr_db));
  EXPECT_TRUE(std::isnan(broken.result().max_abs));
  EXPECT_THROW(equal.add(some, Tensor(DType::float32, {2})), Error);
}

TEST(RegressionScores, GivesMeansAndTheirIntervals) {
  // One sample each with error k^2 mod 23; mean 8.075, standard error 0.895. Oracle of the interval: numpy, 200,000
  // resamples of the mean absolute error: [6.35, 9.85]; 2,000 resamples place each end within 0.15 of that.
  std::vector<float> outputs;
  for (int k = 0; k < 40; ++k) outputs.push_back(static_cast<float>(k * k % 23));
  RegressionScores scores;
  scores.add(Tensor::from<float>({40, 1}, outputs), Tensor(DType::float32, {40}));
  auto metrics = scores.metrics();
  EXPECT_DOUBLE_EQ(metrics["mae"].value, 8.075);
  EXPECT_NEAR(metrics["mae"].ci95.low, 6.35, 0.15);
  EXPECT_NEAR(metrics["mae"].ci95.high, 9.85, 0.15);
  EXPECT_DOUBLE_EQ(metrics["max_error"].value, 18);
  EXPECT_EQ(scores.metrics()["mse"].ci95.low, metrics["mse"].ci95.low);
}

TEST(RegressionScores, AverageWithinASampleAndKeepNan) {
  RegressionScores scores;
  scores.add(Tensor::from<float>({2, 2}, {1, 3, 0, 0}), Tensor::from<float>({2, 2}, {0, 0, 0, -2}));
  EXPECT_DOUBLE_EQ(scores.metrics()["mse"].value, (5.0 + 2.0) / 2);
  EXPECT_DOUBLE_EQ(scores.metrics()["mae"].value, (2.0 + 1.0) / 2);
  scores.add(Tensor::from<float>({1, 2}, {kNan, 0}), Tensor(DType::float32, {1, 2}));
  EXPECT_TRUE(std::isnan(scores.metrics()["mse"].value));
  EXPECT_TRUE(std::isnan(scores.metrics()["max_error"].value));
  EXPECT_THROW(scores.add(Tensor(DType::float32, {2}), Tensor(DType::float32, {3})), Error);
}

}  // namespace
}  // namespace lowbit
