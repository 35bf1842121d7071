// Thresholds of the rules: each speaks above and is quiet at its threshold, on facts written by hand.
#include <set>

#include <gtest/gtest.h>

#include "lowbit/analysis/rule.h"

namespace lowbit {
namespace {

/// A layer with a poor result and nothing that explains it.
LayerFacts poor_layer() {
  LayerFacts facts;
  facts.name = "conv";
  facts.op = "Conv";
  facts.local_sqnr_db = 20;
  facts.weight_bits = 8;
  facts.channel_ranges = {1, 1, 1, 1};
  ValueFacts& result = facts.result;
  result.name = "y";
  result.count = 1000;
  result.low = -3;
  result.high = 3;
  result.standard_deviation = 1;
  result.has_codes = true;
  result.grid_low = -3;
  result.grid_high = 3;
  result.step = 6.0 / 255;
  result.bits = 8;
  result.codes = 256;
  result.codes_used = 250;
  result.channels.assign(4, {-3, 3, 0, 20});
  return facts;
}

std::vector<Finding> findings_of(LayerFacts layer) {
  NetworkFacts network;
  network.layers = {std::move(layer)};
  return find_causes(network);
}

/// The name of the only finding, or "" for none.
std::string rule_of(LayerFacts layer) {
  const auto findings = findings_of(std::move(layer));
  EXPECT_LE(findings.size(), 1u);
  return findings.empty() ? "" : findings[0].rule;
}

TEST(Rules, EveryRowIsComplete) {
  std::set<std::string_view> names;
  for (const Rule* rule : rule_table()) {
    EXPECT_TRUE(names.insert(rule->name).second) << rule->name;
    EXPECT_TRUE(rule->layer || rule->network) << rule->name;
    EXPECT_FALSE(rule->summary.empty() || rule->threshold.empty()) << rule->name;
  }
  EXPECT_GE(names.size(), 12u);
}

TEST(Rules, ALayerWithoutSymptomsGetsNoInventedCause) { EXPECT_EQ(rule_of(poor_layer()), ""); }

TEST(Rules, AGoodLayerNeedsNoExplanation) {
  LayerFacts facts = poor_layer();
  facts.result.clipped_share = 0.5;
  facts.local_sqnr_db = 39.9;
  EXPECT_EQ(rule_of(facts), "saturating-clip");
  facts.local_sqnr_db = 40;
  EXPECT_EQ(rule_of(facts), "saturating-clip");  // its channels are bad, but for one that is loud
  for (ChannelFacts& channel : facts.result.channels) channel.sqnr_db = 45;
  EXPECT_EQ(rule_of(facts), "");
}

TEST(Rules, OutlierWeightChannelOnlyWithOneScaleForAll) {
  LayerFacts facts = poor_layer();
  facts.channel_ranges = {1, 1, 31, 1};
  facts.weights_per_tensor = true;
  const auto findings = findings_of(facts);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].rule, "outlier-weight-channel");
  EXPECT_NE(findings[0].cause.find("channel 2 of its weights has 31x"), std::string::npos) << findings[0].cause;
  EXPECT_EQ(findings[0].remedy, (std::vector<std::string>{"--granularity", "channel"}));
  facts.channel_ranges = {1, 1, 8, 1};
  EXPECT_EQ(rule_of(facts), "");
  facts.channel_ranges = {1, 1, 31, 1};
  facts.weights_per_tensor = false;
  EXPECT_EQ(rule_of(facts), "");
}

TEST(Rules, DepthwiseSpreadLooksAtTheNarrowFilters) {
  LayerFacts facts = poor_layer();
  facts.depthwise = facts.weights_per_tensor = true;
  facts.channel_ranges = {1, 0.05, 1, 1};
  EXPECT_EQ(rule_of(facts), "depthwise-spread");
  facts.channel_ranges = {1, 0.0625, 1, 1};
  EXPECT_EQ(rule_of(facts), "");
  facts.channel_ranges.assign(40, 1);
  facts.channel_ranges[7] = 0;  // one dead filter of forty
  EXPECT_EQ(rule_of(facts), "");
}

TEST(Rules, OutlierChannelNamesTheChannelOfTheResult) {
  LayerFacts facts = poor_layer();
  facts.result.channels[3] = {-27, 5, 0, 20};
  const auto findings = findings_of(facts);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].rule, "outlier-channel");
  EXPECT_NE(findings[0].cause.find("channel 3 of its result has 9x"), std::string::npos) << findings[0].cause;
  facts.result.channels[3] = {-24, 5, 0, 20};
  EXPECT_EQ(rule_of(facts), "");
}

TEST(Rules, SaturatingClipBeyondOnePerCent) {
  LayerFacts facts = poor_layer();
  facts.result.clipped_share = 0.0101;
  EXPECT_EQ(rule_of(facts), "saturating-clip");
  facts.result.clipped_share = 0.01;
  EXPECT_EQ(rule_of(facts), "");
}

TEST(Rules, MixedRangeOfJoinedInputsAndOfScaledColumns) {
  LayerFacts facts = poor_layer();
  facts.op = "Concat";
  facts.inputs.resize(2);
  facts.inputs[0].count = facts.inputs[1].count = 10;
  facts.inputs[0].high = 1;
  facts.inputs[1].low = -17;
  EXPECT_EQ(rule_of(facts), "mixed-range");
  facts.inputs[1].low = -16;
  EXPECT_EQ(rule_of(facts), "");
  facts.inputs[1].low = -1000;
  facts.local_sqnr_db = 60;  // of the large part; the small one is lost
  EXPECT_EQ(rule_of(facts), "");
  facts.inputs[0].sqnr_db = 5;
  EXPECT_EQ(rule_of(facts), "mixed-range");
  facts.result.has_codes = false;
  EXPECT_EQ(rule_of(facts), "");

  facts = poor_layer();
  facts.op = "Mul";
  facts.result.channels = {{0, 640, 0, 45}, {0, 640, 0, 45}, {0, 1, 0, 5}, {0, 640, 0, 45}};
  EXPECT_EQ(rule_of(facts), "mixed-range");
}

TEST(Rules, ExplodingTailOnlyWhereTheCodesReachOverIt) {
  LayerFacts facts = poor_layer();
  facts.result.high = facts.result.grid_high = 40;
  EXPECT_EQ(rule_of(facts), "exploding-tail");
  facts.result.grid_high = 3;  // clipped away: some other rule's business
  EXPECT_EQ(rule_of(facts), "");
}

TEST(Rules, FewCodesMeanShiftAndNarrowness) {
  LayerFacts facts = poor_layer();
  facts.result.codes_used = 31;
  EXPECT_EQ(rule_of(facts), "few-codes");
  facts.result.codes_used = 32;
  EXPECT_EQ(rule_of(facts), "");

  facts = poor_layer();
  for (ChannelFacts& channel : facts.result.channels) channel.mean_error = 0.51 * facts.result.step;
  EXPECT_EQ(rule_of(facts), "mean-shift");
  for (ChannelFacts& channel : facts.result.channels) channel.mean_error = 0.49 * facts.result.step;
  EXPECT_EQ(rule_of(facts), "");

  facts = poor_layer();
  facts.weight_bits = 5;
  EXPECT_EQ(rule_of(facts), "narrow-weights");
  facts = poor_layer();
  facts.result.bits = 4;
  EXPECT_EQ(rule_of(facts), "narrow-values");
}

TEST(Rules, DeadChannelsAreToldWhateverTheError) {
  LayerFacts facts = poor_layer();
  for (ChannelFacts& channel : facts.result.channels) channel.sqnr_db = 60;
  facts.local_sqnr_db = 60;
  facts.result.channels[1] = {0, 0, 0, 20};
  EXPECT_EQ(rule_of(facts), "dead-channel");
  facts.channel_ranges.clear();  // a Relu, say: not its fault
  EXPECT_EQ(rule_of(facts), "");
}

TEST(Rules, UnseenTensorsByCalibrationOrByTheseData) {
  LayerFacts facts = poor_layer();
  facts.local_sqnr_db = 60;
  facts.result.calibrated_values = 31;
  EXPECT_EQ(rule_of(facts), "unseen-tensor");
  facts.result.calibrated_values = 32;
  EXPECT_EQ(rule_of(facts), "");
  facts.result.count = 0;
  EXPECT_EQ(rule_of(facts), "unseen-tensor");
}

ValueFacts input_facts() {
  ValueFacts input;
  input.name = "x";
  input.count = 1000;
  input.low = -1;
  input.high = 1;
  input.standard_deviation = 0.5;
  input.has_codes = true;
  input.grid_low = -1;
  input.grid_high = 1;
  return input;
}

std::string network_rule(const ValueFacts& input) {
  NetworkFacts network;
  network.inputs = {input};
  const auto findings = find_causes(network);
  EXPECT_LE(findings.size(), 1u);
  if (findings.empty()) return "";
  EXPECT_EQ(findings[0].layer, "x");
  return findings[0].rule;
}

TEST(Rules, ConstantInputs) {
  ValueFacts input = input_facts();
  EXPECT_EQ(network_rule(input), "");
  input.low = input.high = 0;
  EXPECT_EQ(network_rule(input), "constant-input");
}

TEST(Rules, DataMismatchByDistributionOrByTheRangeInTheFile) {
  ValueFacts input = input_facts();
  input.calibrated_values = 1000;
  input.calibrated_deviation = 0.5;
  EXPECT_EQ(network_rule(input), "");
  input.calibrated_deviation = 0.8;
  EXPECT_EQ(network_rule(input), "data-mismatch");
  input.calibrated_deviation = 0.5;
  input.calibrated_mean = -0.3;
  EXPECT_EQ(network_rule(input), "data-mismatch");

  input = input_facts();
  input.high = 255;
  input.clipped_share = 0.9;
  EXPECT_EQ(network_rule(input), "data-mismatch");
  input.clipped_share = 0.001;  // a tail that the range rule cut off
  EXPECT_EQ(network_rule(input), "");
  input = input_facts();
  input.grid_high = 255;
  EXPECT_EQ(network_rule(input), "data-mismatch");
}

TEST(Rules, WorstLayerFirstAndItsRulesInOrder) {
  NetworkFacts network;
  network.layers = {poor_layer(), poor_layer()};
  network.layers[0].name = "better";
  network.layers[0].local_sqnr_db = 30;
  for (ChannelFacts& channel : network.layers[0].result.channels) channel.sqnr_db = 30;
  network.layers[0].result.clipped_share = 0.5;
  network.layers[1].name = "worse";
  network.layers[1].result.clipped_share = 0.5;
  network.layers[1].weight_bits = 4;
  const auto findings = find_causes(network);
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(findings[0].layer + " " + findings[0].rule, "worse saturating-clip");
  EXPECT_EQ(findings[1].layer + " " + findings[1].rule, "worse narrow-weights");
  EXPECT_EQ(findings[2].layer + " " + findings[2].rule, "better saturating-clip");
}

}  // namespace
}  // namespace lowbit
