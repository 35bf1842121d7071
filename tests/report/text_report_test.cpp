#include "lowbit/report/text_report.h"

#include <cmath>

#include <gtest/gtest.h>

#include "lowbit/report/text_diagnosis.h"

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

TEST(TextDiagnosis, FindingsNameCauseRuleAndCommand) {
  Diagnosis diagnosis;
  diagnosis.findings.push_back({"outlier-channel",
                                "dw3",
                                "channel 17 has 40x the range of the median",
                                {"--granularity", "channel"},
                                "",
                                "lowbit quantize m.onnx --granularity channel"});
  diagnosis.findings.push_back({"dead-channel", "dw4", "3 channels never change", {}, "look at more samples", ""});
  const std::string text = findings_text(diagnosis);
  EXPECT_NE(text.find("dw3: channel 17 has 40x the range of the median  [outlier-channel]"), std::string::npos);
  EXPECT_NE(text.find("try: lowbit quantize m.onnx --granularity channel"), std::string::npos);
  EXPECT_NE(text.find("look at more samples"), std::string::npos);
}

TEST(TextDiagnosis, TheHalvesSayWhatDoesTheDamage) {
  Diagnosis diagnosis;
  EXPECT_EQ(halves_sentence(diagnosis), "");
  diagnosis.weights_only.emplace().sqnr_db = 30;
  diagnosis.activations_only.emplace().sqnr_db = 20;
  EXPECT_EQ(halves_sentence(diagnosis).find("The activations do most"), 0u);
  diagnosis.activations_only->sqnr_db = 29;
  EXPECT_NE(halves_sentence(diagnosis).find("about the same"), std::string::npos);
}

TEST(TextDiagnosis, TheLayerWhereTheErrorComesInIsNamed) {
  Diagnosis diagnosis;
  const double decibels[] = {40, 38, 20, 19};
  for (int32_t i = 0; i < 4; ++i) {
    DrawnNode node;
    node.name = "layer" + std::to_string(i);
    if (i > 0) node.inputs = {i - 1};
    node.accumulated_db = decibels[i];
    diagnosis.graph.push_back(node);
  }
  EXPECT_EQ(entry_sentence(diagnosis), "The error comes in at layer2: 38.0 dB before it, 20.0 dB behind it.");
}

TEST(TextReport, BenchShowsLayersWithTheirShare) {
  BenchResult result;
  result.file = "m.onnx";
  result.layers = {{"a", "Conv", 3, 3000000, "", ""}, {"b", "Relu", 1, 0, "", ""}};
  const std::string text = bench_text(std::vector<BenchResult>{result});
  EXPECT_NE(text.find("75.0 %"), std::string::npos);
  EXPECT_NE(text.find("2.0"), std::string::npos);  // 6e6 operations in 3 ms, in GOP/s
}

}  // namespace
}  // namespace lowbit
