#include "lowbit/api/causes.h"

#include <gtest/gtest.h>

namespace lowbit {
namespace {

LayerFacts poor_layer() {
  LayerFacts facts;
  facts.name = "conv";
  facts.local_sqnr_db = 20;
  facts.has_codes = true;
  facts.low = -3;
  facts.high = 3;
  facts.standard_deviation = 1;
  facts.step = 6.0 / 255;
  facts.codes = 256;
  facts.codes_used = 250;
  facts.weight_bits = 8;
  return facts;
}

TEST(Causes, AGoodLayerNeedsNoExplanation) {
  LayerFacts facts = poor_layer();
  facts.local_sqnr_db = 45;
  facts.clipped_share = 0.5;
  EXPECT_EQ(explain(facts).cause, "");
}

TEST(Causes, ALayerWithoutSymptomsGetsNoInventedCause) { EXPECT_EQ(explain(poor_layer()).cause, ""); }

TEST(Causes, ChannelImbalanceOnlyWithOneScaleForAll) {
  LayerFacts facts = poor_layer();
  facts.channel_ranges = {1, 1, 1, 31};
  facts.weights_per_tensor = true;
  EXPECT_EQ(explain(facts).remedy, "--granularity channel");
  EXPECT_NE(explain(facts).cause.find("31 times"), std::string::npos);
  facts.weights_per_tensor = false;
  EXPECT_EQ(explain(facts).cause, "");
}

TEST(Causes, EachSymptomNamesItsRemedy) {
  LayerFacts facts = poor_layer();
  facts.clipped_share = 0.02;
  EXPECT_NE(explain(facts).cause.find("2.0 %"), std::string::npos);

  facts = poor_layer();
  facts.high = 40;
  EXPECT_EQ(explain(facts).remedy, "--range mse");

  facts = poor_layer();
  facts.joins_inputs = true;
  facts.input_ranges = {1, 20};
  EXPECT_NE(explain(facts).remedy.find("--exclude 'conv'"), std::string::npos);

  facts = poor_layer();
  facts.codes_used = 12;
  EXPECT_NE(explain(facts).cause.find("only 12 of its 256 codes"), std::string::npos);

  facts = poor_layer();
  facts.mean_shift = facts.step;
  EXPECT_EQ(explain(facts).remedy, "--method bias-correct");

  facts = poor_layer();
  facts.weight_bits = 4;
  EXPECT_NE(explain(facts).cause.find("4 bits"), std::string::npos);
}

}  // namespace
}  // namespace lowbit
