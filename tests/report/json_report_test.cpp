#include "lowbit/report/json_report.h"

#include <cmath>

#include <gtest/gtest.h>

namespace lowbit {
namespace {

TEST(JsonReport, WritesNullForNumbersThatJsonCannotSay) {
  TensorError error;
  error.sqnr_db = INFINITY;
  error.max_abs = NAN;
  const Json json = Json::parse(json_text(to_json(error)));
  EXPECT_TRUE(json["sqnr_db"].is_null());
  EXPECT_TRUE(json["max_abs"].is_null());
  EXPECT_EQ(json["cosine"], 1.0);
}

TEST(JsonReport, StaysAsciiAndValidForHostileNames) {
  LayerDecision layer;
  layer.name = "\x1b[2J\xff\xfe\xe2\x80\xae\"";
  const std::string text = json_text(to_json(layer));
  for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << static_cast<int>(c);
  EXPECT_TRUE(Json::accept(text));
}

TEST(JsonReport, CoverageListsOnlyWhatWasKept) {
  Coverage coverage;
  coverage.quantized_share_macs = 0.5;
  coverage.layers.resize(2);
  coverage.layers[0].name = "conv";
  coverage.layers[0].low_bit = true;
  coverage.layers[1].name = "softmax";
  coverage.layers[1].reason = "excluded";
  const Json json = to_json(coverage);
  ASSERT_EQ(json["kept"].size(), 1u);
  EXPECT_EQ(json["kept"][0]["name"], "softmax");
  EXPECT_EQ(json["kept"][0]["reason"], "excluded");
  EXPECT_EQ(json["quantized_share_macs"], 0.5);
}

TEST(JsonReport, EvaluationHasMetricsAndIntervalsByName) {
  ModelEvaluation evaluation;
  evaluation.file = "m.onnx";
  evaluation.metrics["accuracy"] = {0.75, {0.7, 0.8}};
  const Json json = to_json(evaluation);
  EXPECT_EQ(json["metrics"]["accuracy"], 0.75);
  EXPECT_EQ(json["ci95"]["accuracy"], Json::array({0.7, 0.8}));
}

TEST(JsonReport, BenchHasLayersOnlyIfMeasured) {
  BenchResult result;
  EXPECT_FALSE(to_json(result).contains("layers"));
  result.layers.push_back({"conv", "Conv", 0.25, 1000, "", ""});
  EXPECT_EQ(to_json(result)["layers"][0]["ms_median"], 0.25);
}

}  // namespace
}  // namespace lowbit
