#include "lowbit/api/shifted.h"

#include <gtest/gtest.h>

#include "lowbit/api/attribution.h"
#include "lowbit/base/error.h"
#include "tests/support/graph_builder.h"
#include "tests/support/made_data.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::MadeData;

/// Two classes: is the sum of the first half of 32 numbers larger than that of the second? `swapped`: the other way.
/// `other_half`: the same decisions, but each class rests on the half that speaks against it.
Model halves(bool swapped, bool other_half = false) {
  GraphBuilder builder;
  const ValueId x = builder.input("x", Shape{Dim("N"), Dim(32)});
  Tensor w(DType::float32, {32, 2});
  for (int64_t i = 0; i < 32; ++i)
    w.mutable_data<float>()[i * 2 + ((i < 16) != (swapped || other_half) ? 0 : 1)] = other_half ? -1.0f : 1.0f;
  builder.output(builder.node("MatMul", "fc", {x, builder.constant("w", w)}));
  Model model;
  model.graph = builder.graph;
  return model;
}

std::vector<float> ramp(int64_t sample) {
  std::vector<float> values(32);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = (sample % 2 ? static_cast<float>(i) : static_cast<float>(31 - i)) + 0.1f * static_cast<float>(sample);
  return values;
}

/// The data, damaged by the named kind.
class Damaged : public MadeData {
 public:
  explicit Damaged(std::optional<CorruptionChoice> choice)
      : MadeData(20, {32}, ramp, {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}), choice_(choice) {}
  Batch read(int64_t begin, int64_t count, ThreadPool* threads) const override {
    Batch batch = MadeData::read(begin, count, threads);
    for (int64_t i = 0; choice_ && i < count; ++i)
      corrupt(*choice_, static_cast<uint64_t>(begin + i), batch.inputs[0].second, i);
    return batch;
  }

 private:
  std::optional<CorruptionChoice> choice_;
};

std::unique_ptr<DataSet> open_damaged(std::optional<CorruptionChoice> choice) {
  return std::make_unique<Damaged>(choice);
}

TEST(EvaluateShifted, EqualModelsDifferNowhere) {
  const Model a = halves(false), b = halves(false);
  ThreadPool threads(1);
  ShiftedOptions options;
  options.kinds = parse_corruptions("all", false);
  options.strengths = {1, 5};
  const auto results = evaluate_shifted({{"a", &a}, {"b", &b}}, open_damaged, threads, options);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].samples, 20);
  EXPECT_EQ(results[0].clean.reference->value, 1);
  EXPECT_EQ(results[0].cells.size(), 2 * options.kinds.size());
  for (const ShiftedRow& row : results[0].cells) {
    EXPECT_EQ(row.difference->value, 0) << row.corruption;
    EXPECT_EQ(row.agreement.value, 1) << row.corruption;
  }
  EXPECT_EQ(results[0].overall.difference->value, 0);
  // 80 % of the time reads 0 or the like: damage shows in the accuracy itself.
  EXPECT_LT(results[0].overall.reference->value, 1);
}

TEST(EvaluateShifted, AModelThatDecidesTheOppositeLosesEverything) {
  const Model a = halves(false), b = halves(true);
  ThreadPool threads(1);
  ShiftedOptions options;
  options.kinds = {&find_corruption("gain")};
  const auto results = evaluate_shifted({{"a", &a}, {"b", &b}}, open_damaged, threads, options);
  EXPECT_EQ(results[0].clean.difference->value, -1);
  EXPECT_LE(results[0].clean.difference->ci95.low, -0.99);
  ASSERT_EQ(results[0].kinds.size(), 1u);
  EXPECT_EQ(results[0].kinds[0].difference->value, -1);  // louder or quieter changes no comparison
  EXPECT_EQ(results[0].kinds[0].agreement.value, 0);
}

TEST(EvaluateShifted, NamesAndStrengthsAreChecked) {
  EXPECT_EQ(parse_strengths("1-3,5"), (std::vector<int>{1, 2, 3, 5}));
  for (const char* bad : {"0", "6", "3-1", "x", ""}) EXPECT_THROW(parse_strengths(bad), Error) << bad;
  EXPECT_EQ(parse_corruptions("all", true).size(), 15u);
  EXPECT_EQ(parse_corruptions("jpeg,fog,jpeg", true).size(), 2u);
  EXPECT_THROW(parse_corruptions("gain", true), Error);
  EXPECT_THROW(parse_corruptions("fogg", true), Error);
}

TEST(Attribution, EqualModelsLookAtTheSame) {
  const Model a = halves(false), b = halves(false);
  const MadeData data(6, {32}, ramp);
  ThreadPool threads(1);
  for (const auto method : {AttributionMethod::occlusion, AttributionMethod::gradients}) {
    const AttributionAgreement maps = compare_attributions(a, b, data, threads, method, 32);
    EXPECT_EQ(maps.samples, 6);
    EXPECT_EQ(maps.cells, 32);
    EXPECT_NEAR(maps.rank_correlation.value, 1, 1e-12);
    EXPECT_NEAR(maps.cosine.value, 1, 1e-12);
    EXPECT_EQ(maps.top_overlap.value, 1);
  }
}

TEST(Attribution, AModelThatLooksElsewhereIsTold) {
  const Model a = halves(false), b = halves(false, /*other_half=*/true);
  const MadeData data(6, {32}, ramp);
  ThreadPool threads(1);
  const AttributionAgreement maps = compare_attributions(a, b, data, threads, AttributionMethod::occlusion, 32);
  EXPECT_LT(maps.rank_correlation.value, 0.2);  // each rests on the half that the other does not see
  EXPECT_NEAR(maps.cosine.value, 0, 1e-6);
  EXPECT_EQ(maps.top_overlap.value, 0);
}

}  // namespace
}  // namespace lowbit
