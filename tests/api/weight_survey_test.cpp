#include "lowbit/api/weight_survey.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lowbit/base/random.h"

namespace lowbit {
namespace {

/// x -> MatMul with a weight [32, 20] whose columns differ in scale.
Inspection one_layer() {
  Random random(3);
  Tensor weight(DType::float32, {32, 20});
  for (int64_t i = 0; i < weight.count(); ++i)
    weight.mutable_data<float>()[i] = static_cast<float>(random.normal() * (i % 20 == 4 ? 8 : 1));
  Inspection inspection;
  Graph& graph = inspection.model.graph;
  const ValueId x = graph.add_value("x", DType::float32), w = graph.add_constant("w", weight),
                small = graph.add_constant("small", Tensor(DType::float32, {2, 3})), y = graph.add_value("y");
  Node node;
  node.name = "product";
  node.op = "MatMul";
  node.inputs = {x, w};
  node.outputs = {y};
  graph.nodes.push_back(node);
  graph.inputs = {x};
  graph.outputs = {y, small};
  inspection.model.source_path = "models/a<b>.onnx";
  return inspection;
}

const SurveyedSystem& find(const WeightSurvey& weight, const std::string& system, const std::string& granularity) {
  return *std::find_if(weight.systems.begin(), weight.systems.end(), [&](const SurveyedSystem& entry) {
    return entry.system == system && entry.granularity == granularity;
  });
}

TEST(WeightSurvey, MeasuresEverySystemOnEveryWeight) {
  ThreadPool threads(2);
  const std::vector<WeightSurvey> surveys = survey_weights(one_layer(), 4, threads);
  ASSERT_EQ(surveys.size(), 1u) << "six elements are no weight tensor";
  const WeightSurvey& weight = surveys[0];
  EXPECT_EQ(weight.name, "w");
  EXPECT_EQ(weight.count, 640);
  EXPECT_GT(weight.channel_spread, 4);
  EXPECT_DOUBLE_EQ(find(weight, "int4", "channel").bits, 4 + 20 * 32 / 640.0);
  EXPECT_DOUBLE_EQ(find(weight, "int4", "tensor").bits, 4 + 32 / 640.0);
  // A column of eight times the width rules the scale of the tensor.
  EXPECT_GT(find(weight, "int4", "channel").sqnr_db, find(weight, "int4", "tensor").sqnr_db);
  EXPECT_GT(find(weight, "codebook4", "tensor").sqnr_db, find(weight, "int4", "tensor").sqnr_db);
  for (const SurveyedSystem& system : weight.systems) {
    EXPECT_LE(system.score_db, weight.systems.front().score_db);
    EXPECT_NEAR(system.sqnr_db, -10 * std::log10(system.relative_error), 1e-9) << system.system;
  }
  double counted = 0;
  for (const double count : weight.histogram) counted += count;
  EXPECT_EQ(counted, 640);
  EXPECT_FALSE(weight.levels.empty());
  EXPECT_TRUE(std::is_sorted(weight.levels.begin(), weight.levels.end()));
}

TEST(WeightSurvey, ThreadsDoNotChangeIt) {
  ThreadPool one(1), three(3);
  const auto a = survey_weights(one_layer(), 3, one), b = survey_weights(one_layer(), 3, three);
  ASSERT_EQ(a[0].systems.size(), b[0].systems.size());
  for (size_t i = 0; i < a[0].systems.size(); ++i) {
    EXPECT_EQ(a[0].systems[i].system, b[0].systems[i].system);
    EXPECT_EQ(a[0].systems[i].relative_error, b[0].systems[i].relative_error);
  }
}

TEST(WeightSurvey, TheModelIsTheMeanOfItsTensors) {
  ThreadPool threads(1);
  std::vector<WeightSurvey> surveys = survey_weights(one_layer(), 4, threads);
  surveys.push_back(surveys[0]);
  for (SurveyedSystem& system : surveys[1].systems) system.relative_error *= 3;
  const std::vector<ModelSurvey> model = summarize(surveys, 4);
  int64_t best = 0;
  for (const ModelSurvey& survey : model) {
    const SurveyedSystem& own = find(surveys[0], survey.mean.system, survey.mean.granularity);
    EXPECT_NEAR(survey.mean.relative_error, 2 * own.relative_error, 1e-12) << survey.mean.system;
    EXPECT_NEAR(survey.mean.bits, own.bits, 1e-12);
    best += survey.best_in;
  }
  EXPECT_EQ(best, 2);
}

TEST(WeightSurvey, ThePageNeedsNothingElseAndEscapesNames) {
  ThreadPool threads(1);
  const Inspection inspection = one_layer();
  const std::string page = survey_html(inspection, survey_weights(inspection, 4, threads), 4, "1.2.3");
  EXPECT_NE(page.find("a&lt;b&gt;.onnx"), std::string::npos);
  EXPECT_EQ(page.find("a<b>"), std::string::npos);
  EXPECT_NE(page.find("class=\"level\""), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace lowbit
