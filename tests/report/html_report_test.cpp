#include "lowbit/report/html_report.h"

#include <cmath>
#include <fstream>
#include <regex>

#include <gtest/gtest.h>

namespace lowbit {
namespace {

/// A report with everything in it, names hostile on purpose.
HtmlReport sample_report() {
  HtmlReport report;
  report.title = "<script>alert(1)</script>";
  report.version = "0.1.0";
  report.source = "a\"b.onnx";
  report.result = "a.int8.onnx";
  report.float_bytes = 1905941;
  report.low_bit_bytes = 520000;
  report.data = "300 pictures & more";
  report.samples = 256;
  report.seconds = 2.5;
  report.float_evaluation = ModelEvaluation{};
  report.float_evaluation->metrics["accuracy"] = {0.7644, {0.752, 0.776}};
  report.low_bit_evaluation = ModelEvaluation{};
  report.low_bit_evaluation->metrics["accuracy"] = {0.7632, {0.751, 0.775}};
  report.low_bit_evaluation->samples = 5000;
  LayerDecision conv;
  conv.name = "conv<1>&'x'";
  conv.op = "Conv";
  conv.low_bit = true;
  conv.weights = "int8/channel";
  conv.float_weight_bytes = 4096;
  conv.weight_bytes = 1100;
  conv.weight_error.sqnr_db = 42.5;
  LayerDecision softmax;
  softmax.name = "softmax";
  softmax.op = "Softmax";
  softmax.reason = "it has no integer form here";
  report.coverage.layers = {conv, softmax};
  report.coverage.quantized_share_macs = 1;
  LayerError error;
  error.name = "conv<1>&'x'";
  error.local.sqnr_db = INFINITY;
  error.accumulated.sqnr_db = 31;
  error.cause = "one channel is <far> wider than the others";
  error.remedy = "--granularity channel";
  report.layer_errors = {error};
  report.diagnosis.findings.push_back({"outlier-channel",
                                       error.name,
                                       error.cause,
                                       {"--granularity", "channel"},
                                       "",
                                       "lowbit quantize 'a b.onnx' --granularity channel"});
  report.distributions.push_back(
      {"weights \"w\"", "weights", "int8/channel", {1, 5, 9, 4, 0, 1}, -1, 2, -1, 1.5, 0.01, {-1, 0, 1.5f}, ""});
  report.notes = {"12 samples only"};
  report.recipe = "weights = \"int8\"\n";
  report.command = "lowbit quantize 'a b.onnx'";
  return report;
}

size_t count(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return static_cast<size_t>(
      std::distance(std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()));
}

TEST(HtmlReport, NeedsNothingFromOutside) {
  const std::string html = to_html(sample_report());
  EXPECT_EQ(count(html, "https?://|@import|url\\(|<link|\\bsrc="), 0u);
}

TEST(HtmlReport, TagsAreBalanced) {
  std::string html = to_html(sample_report());
  html = std::regex_replace(html, std::regex("<(style|script)>[^]*?</\\1>"), "");
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-zA-Z0-9]+)([^<>]*)>");
  for (auto it = std::sregex_iterator(html.begin(), html.end(), tag); it != std::sregex_iterator(); ++it) {
    const std::string name = (*it)[2], rest = (*it)[3];
    if (name == "meta" || name == "br" || rest.ends_with("/")) continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
    } else {
      ASSERT_FALSE(open.empty()) << "</" << name << ">";
      EXPECT_EQ(open.back(), name);
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST(HtmlReport, EscapesEveryName) {
  const std::string html = to_html(sample_report());
  EXPECT_EQ(html.find("<script>alert"), std::string::npos);
  EXPECT_EQ(html.find("conv<1>"), std::string::npos);
  EXPECT_EQ(html.find("a\"b.onnx"), std::string::npos);
  EXPECT_EQ(html.find("<far>"), std::string::npos);
  EXPECT_NE(html.find("conv&lt;1&gt;&amp;&#39;x&#39;"), std::string::npos);
}

TEST(HtmlReport, SaysVerdictCoverageCauseAndRecipe) {
  const std::string html = to_html(sample_report());
  EXPECT_NE(html.find("3.7 times smaller"), std::string::npos);
  EXPECT_NE(html.find("loses 0.12 points"), std::string::npos);
  EXPECT_NE(html.find("it has no integer form here"), std::string::npos);
  EXPECT_NE(html.find("--granularity channel"), std::string::npos);
  EXPECT_NE(html.find("weights = &quot;int8&quot;"), std::string::npos);
  EXPECT_NE(html.find("12 samples only"), std::string::npos);
}

TEST(HtmlReport, DrawsLanesThatEndAtTheLastReader) {
  HtmlReport report;
  // a -> b -> c, and a -> c: the value of a passes by b.
  for (const char* name : {"a", "b", "c"}) {
    DrawnNode node;
    node.name = name;
    node.op = "Conv";
    node.has_weights = true;
    node.weight_bits = 4;
    node.weights = "int4/channel";
    report.diagnosis.graph.push_back(node);
  }
  report.diagnosis.graph[1].inputs = {0};
  report.diagnosis.graph[2].inputs = {0, 1};
  const std::string html = to_html(report);
  EXPECT_EQ(count(html, "<div class=\"node\">"), 3u);
  EXPECT_EQ(count(html, "<svg width=\"32\" height=\"28\""), 3u);  // two lanes
  EXPECT_NE(html.find("class=\"chip b4\""), std::string::npos);
}

TEST(HtmlReport, ShowsExamplesWithTheirPictureAndDamagedData) {
  HtmlReport report;
  report.disagreements.samples = 100;
  report.disagreements.differing = 1;
  Example example;
  example.name = "cat<1>.jpg";
  example.float_class = "cat";
  example.low_bit_class = "dog";
  example.width = example.height = 2;
  example.jpeg = {std::byte{'M'}, std::byte{'a'}};  // "TWE=" in base 64
  report.disagreements.examples = {example};
  ShiftedEvaluation shifted;
  shifted.cells = {{"fog", 2, {}, {}, Metric{-0.031, {-0.05, -0.01}}, {}, 0}};
  shifted.kinds = {{"fog", 0, {}, {}, Metric{-0.031, {-0.05, -0.01}}, {}, 0}};
  report.shifted = {shifted};
  const std::string html = to_html(report);
  EXPECT_NE(html.find("data:image/jpeg;base64,TWE=\""), std::string::npos);
  EXPECT_NE(html.find("cat&lt;1&gt;.jpg"), std::string::npos);
  EXPECT_NE(html.find("-3.10 (-5.00 .. -1.00)"), std::string::npos);
}

TEST(HtmlReport, CopesWithAnEmptyReport) {
  const std::string html = to_html(HtmlReport{});
  EXPECT_NE(html.find("</html>"), std::string::npos);
  EXPECT_EQ(count(html, "nan|inf[^o]"), 0u);
}

TEST(HtmlReport, MakesControlCharactersVisible) { EXPECT_EQ(escape_html("a\x1b<b"), "a\\x1b&lt;b"); }

TEST(HtmlReport, FindingsOfOneRuleShareACard) {
  HtmlReport report;
  for (const char* layer : {"conv1", "conv2", "conv3"})
    report.diagnosis.findings.push_back(
        {"few-codes", layer, "its weights have only 2 bits", {}, "", "lowbit quantize x"});
  report.diagnosis.findings.push_back({"dead-channel", "dw4", "3 channels never change", {}, "", ""});
  const std::string page = to_html(report);
  EXPECT_NE(page.find("and 2 more layers"), std::string::npos);
  EXPECT_NE(page.find("conv3"), std::string::npos);
  EXPECT_EQ(page.find("lowbit quantize x"), page.rfind("lowbit quantize x"));
  EXPECT_NE(page.find("<b>dw4</b>"), std::string::npos);
}

}  // namespace
}  // namespace lowbit
