#include "lowbit/report/text_report.h"

#include <cmath>

#include <gtest/gtest.h>

namespace lowbit {
namespace {

TEST(TextReport, WordsForNumbers) {
  EXPECT_EQ(decibels_text(INFINITY), "exact");
  EXPECT_EQ(decibels_text(NAN), "-");
  EXPECT_EQ(decibels_text(42.26), "42.3 dB");
  EXPECT_EQ(percent_text(0.7644), "76.44 %");
  EXPECT_EQ(milliseconds_text(0.4123), "0.412 ms");
  EXPECT_EQ(milliseconds_text(3210), "3.21 s");
  EXPECT_EQ(metric_text("accuracy", {0.7644, {0.7524, 0.776}}), "76.44 % (75.24 .. 77.60)");
  EXPECT_EQ(metric_text("sqnr_db", {31, {31, 31}}), "31.0 dB");
}

TEST(TextReport, CoverageNamesEveryLayerWithItsReason) {
  Coverage coverage;
  coverage.quantized_share_macs = 0.9876;
  coverage.layers.resize(2);
  coverage.layers[0] = {"conv", "Conv", "int8/channel", "uint8/tensor", true, "", 123456, 100, 400, 256, {}};
  coverage.layers[1] = {"softmax", "Softmax", "", "float32", false, "excluded by --exclude", 0, 0, 0, 0, {}};
  const std::string text = coverage_text(coverage);
  EXPECT_NE(text.find("123,456"), std::string::npos);
  EXPECT_NE(text.find("400 B -> 100 B"), std::string::npos);
  EXPECT_NE(text.find("kept: excluded by --exclude"), std::string::npos);
  EXPECT_NE(text.find("98.76 % of the multiply-adds"), std::string::npos);
}

TEST(TextReport, EvaluationsShowAMetricThatOnlyOneModelHas) {
  std::vector<ModelEvaluation> models(2);
  models[0].file = "float.onnx";
  models[1].file = "int8.onnx";
  models[1].metrics["agreement"] = {0.998, {0.99, 1.0}};
  const std::string text = evaluations_text(models);
  EXPECT_NE(text.find("agreement"), std::string::npos);
  EXPECT_NE(text.find("99.80 %"), std::string::npos);
}

TEST(TextReport, LayerErrorsListCausesWithTheirRemedy) {
  LayerError layer;
  layer.name = "dw3";
  layer.cause = "the widest channel is 31 times the median";
  layer.remedy = "--granularity channel";
  const std::string text = layer_errors_text({}, std::vector<LayerError>{layer});
  EXPECT_NE(text.find("dw3: the widest channel"), std::string::npos);
  EXPECT_NE(text.find("try: --granularity channel"), std::string::npos);
}

TEST(TextReport, BenchShowsLayersWithTheirShare) {
  BenchResult result;
  result.file = "m.onnx";
  result.layers = {{"a", "Conv", 3, 3000000, "", ""}, {"b", "Relu", 1, 0, "", ""}};
  const std::string text = bench_text(std::vector<BenchResult>{result});
  EXPECT_NE(text.find("75.0 %"), std::string::npos);
  EXPECT_NE(text.find("1.00"), std::string::npos);  // 3e6 multiply-adds in 3 ms
}

}  // namespace
}  // namespace lowbit
