// Networks in which a cause was planted: it is found, with its layer and channel, and the remedy that is named helps.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "lowbit/analysis/rule.h"
#include "lowbit/api/compare.h"
#include "lowbit/api/quantize.h"
#include "tests/support/graph_builder.h"
#include "tests/support/made_data.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::MadeData;
using testing::random_tensor;

constexpr int64_t kChannels = 8, kSide = 8, kSamples = 24;

/// Pictures of 3 x 8 x 8 uniform in -1..1, times `scale`.
MadeData pictures(float scale = 1, uint64_t seed = 1) {
  return MadeData(kSamples, {3, kSide, kSide}, [=](int64_t sample) {
    Random random(seed, static_cast<uint64_t>(sample));
    std::vector<float> values(3 * kSide * kSide);
    for (float& v : values) v = scale * static_cast<float>(2 * random.uniform() - 1);
    return values;
  });
}

/// A small convolutional network that a cause can be planted in.
class Network {
 public:
  Network() { x_ = builder_.input("x", Shape{Dim("N"), Dim(3), Dim(kSide), Dim(kSide)}); }

  /// Each output channel of the weights is multiplied by `scale` of its number.
  ValueId conv(const std::string& name, ValueId from, int64_t in, int64_t group = 1,
               const std::function<float(int64_t)>& scale = {}, float bias = 0.1f) {
    Tensor w = random_tensor({kChannels, in / group, 3, 3}, std::hash<std::string>()(name), -0.3f, 0.3f);
    auto values = w.mutable_values<float>();
    const size_t each = values.size() / kChannels;
    for (size_t i = 0; i < values.size() && scale; ++i) values[i] *= scale(static_cast<int64_t>(i / each));
    const std::vector<float> biases(kChannels, bias);
    return builder_.node("Conv", name,
                         {from, builder_.constant(name + "_w", w),
                          builder_.constant(name + "_b", Tensor::from<float>({kChannels}, biases))},
                         {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"group", group}});
  }
  ValueId node(const std::string& op, const std::string& name, std::vector<ValueId> inputs,
               Attributes attributes = {}) {
    return builder_.node(op, name, std::move(inputs), std::move(attributes));
  }
  ValueId constant(const std::string& name, Tensor tensor) { return builder_.constant(name, std::move(tensor)); }
  ValueId x() const { return x_; }
  /// Ends the network: mean of each channel, then a fully connected layer.
  Model finish(ValueId last, int64_t channels = kChannels) {
    const ValueId pooled = node("GlobalAveragePool", "pool", {last});
    const ValueId flat = node("Flatten", "flatten", {pooled});
    builder_.output(node("MatMul", "fc", {flat, constant("fc_w", random_tensor({channels, 4}, 99))}));
    Model model;
    model.graph = builder_.graph;
    return model;
  }

 private:
  GraphBuilder builder_;
  ValueId x_;
};

Recipe plain(const std::string& granularity = "channel", const std::string& range = "minmax") {
  Recipe recipe;
  recipe.methods = {"none"};
  recipe.granularity = granularity;
  recipe.range = range;
  return recipe;
}

Comparison diagnose(const Model& model, const Recipe& recipe, const DataSet& calibration, const DataSet& data) {
  ThreadPool threads(1);
  const QuantizeResult result = quantize(model, &calibration, recipe, threads);
  CompareOptions options;
  options.calibration = &result.statistics;
  return compare_models(model, result.model, data, threads, options);
}

/// The finding of a rule about a layer; fails without one.
Finding expect_found(const Comparison& comparison, const std::string& rule, const std::string& layer) {
  std::string all;
  for (const Finding& finding : comparison.diagnosis.findings) {
    if (finding.rule == rule && finding.layer == layer) return finding;
    all += finding.layer + ": " + finding.cause + " [" + finding.rule + "]\n";
  }
  ADD_FAILURE() << rule << " of " << layer << " is not among\n" << all;
  return {};
}

double local_db(const Comparison& comparison, const std::string& layer) {
  for (const LayerError& error : comparison.layers)
    if (error.name == layer) return error.local.sqnr_db;
  ADD_FAILURE() << "no layer " << layer;
  return 0;
}

TEST(PlantedCauses, ACleanNetworkGetsNoFinding) {
  Network net;
  const ValueId first = net.node("Relu", "relu_1", {net.conv("conv_1", net.x(), 3)});
  const Model model = net.finish(net.node("Relu", "relu_2", {net.conv("conv_2", first, kChannels)}));
  const MadeData data = pictures();
  const Comparison comparison = diagnose(model, plain(), data, pictures(1, 2));
  for (const Finding& finding : comparison.diagnosis.findings)
    ADD_FAILURE() << finding.layer << ": " << finding.cause << " [" << finding.rule << "]";
  ASSERT_TRUE(comparison.diagnosis.weights_only && comparison.diagnosis.activations_only);
  EXPECT_GT(comparison.diagnosis.weights_only->sqnr_db, comparison.output.sqnr_db - 3);
  EXPECT_GT(comparison.diagnosis.activations_only->sqnr_db, comparison.output.sqnr_db - 3);
}

TEST(PlantedCauses, OutlierChannelOfWeightsAndItsRemedy) {
  Network net;
  const ValueId first = net.conv("conv_1", net.x(), 3);
  const Model model =
      net.finish(net.conv("conv_2", first, kChannels, 1, [](int64_t c) { return c == 5 ? 40.f : 1.f; }));
  const MadeData data = pictures();
  const Comparison bad = diagnose(model, plain("tensor"), data, data);
  const Finding finding = expect_found(bad, "outlier-weight-channel", "conv_2");
  EXPECT_NE(finding.cause.find("channel 5"), std::string::npos) << finding.cause;
  ASSERT_EQ(finding.remedy, (std::vector<std::string>{"--granularity", "channel"}));
  EXPECT_GT(diagnose(model, plain("channel"), data, data).diagnosis.weights_only->sqnr_db,
            bad.diagnosis.weights_only->sqnr_db + 6);
}

TEST(PlantedCauses, DepthwiseRangeSpread) {
  Network net;
  const ValueId first = net.conv("conv_1", net.x(), 3);
  const Model model = net.finish(
      net.conv("depthwise", first, kChannels, kChannels, [](int64_t c) { return std::exp2(static_cast<float>(c)); }));
  const MadeData data = pictures();
  expect_found(diagnose(model, plain("tensor"), data, data), "depthwise-spread", "depthwise");
}

TEST(PlantedCauses, OutlierChannelOfActivationsIsEqualizedAway) {
  Network net;
  const ValueId first =
      net.node("Relu", "relu_1", {net.conv("conv_1", net.x(), 3, 1, [](int64_t c) { return c == 2 ? 60.f : 1.f; })});
  Tensor w = random_tensor({kChannels, kChannels, 3, 3}, 5, -0.3f, 0.3f);
  auto values = w.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i)
    if (i / 9 % kChannels == 2) values[i] /= 60;  // the function is that of a network without the outlier
  const ValueId second =
      net.node("Conv", "conv_2", {first, net.constant("w", w)}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  const Model model = net.finish(net.node("Relu", "relu_2", {second}));
  const MadeData data = pictures();
  const Comparison bad = diagnose(model, plain(), data, data);
  const Finding finding = expect_found(bad, "outlier-channel", "conv_1");
  EXPECT_NE(finding.cause.find("channel 2"), std::string::npos) << finding.cause;
  ASSERT_EQ(finding.remedy[0], "--method");
  Recipe repaired = plain();
  repaired.methods = {"equalize"};
  const Comparison good = diagnose(model, repaired, data, data);
  EXPECT_GT(good.output.sqnr_db, bad.output.sqnr_db + 6);
  EXPECT_GT(good.diagnosis.rescaled, 0);
  // Rescaled channels are not taken for errors.
  EXPECT_GT(local_db(good, "conv_1"), 30);
}

TEST(PlantedCauses, SaturatingClip) {
  Network net;
  const ValueId first = net.node("Relu", "relu_1", {net.conv("conv_1", net.x(), 3)});
  const Model model = net.finish(net.conv("conv_2", first, kChannels));
  const MadeData data = pictures();
  const Comparison bad = diagnose(model, plain("channel", "percentile:90"), data, data);
  const Finding finding = expect_found(bad, "saturating-clip", "conv_1");
  ASSERT_EQ(finding.remedy, (std::vector<std::string>{"--range", "minmax"}));
  EXPECT_GT(local_db(diagnose(model, plain(), data, data), "conv_1"), local_db(bad, "conv_1") + 6);
}

TEST(PlantedCauses, MixedRangeConcat) {
  Network net;
  const ValueId small = net.conv(
      "small", net.x(), 3, 1, [](int64_t) { return 0.01f; }, 0.001f);
  const ValueId large = net.conv("large", net.x(), 3, 1, [](int64_t) { return 3.f; });
  const ValueId joined = net.node("Concat", "join", {small, large}, {{"axis", int64_t{1}}});
  const Model model = net.finish(net.conv("conv", joined, 2 * kChannels));
  const MadeData data = pictures();
  const Comparison comparison = diagnose(model, plain(), data, data);
  const Finding finding = expect_found(comparison, "mixed-range", "join");
  ASSERT_EQ(finding.remedy, (std::vector<std::string>{"--exclude", "join"}));
  Recipe repaired = plain();
  repaired.exclude = {"join"};
  EXPECT_GT(local_db(diagnose(model, repaired, data, data), "small"), local_db(comparison, "small") + 6);
}

TEST(PlantedCauses, MixedRangeMultiplyHead) {
  Network net;
  const ValueId first = net.conv("conv_1", net.x(), 3);
  const ValueId factors = net.conv(
      "factors", net.x(), 3, 1, [](int64_t c) { return c < 4 ? 640.f : 0.1f; }, 0);
  const ValueId scaled = net.node("Mul", "head", {first, factors});
  const Model model = net.finish(net.conv("conv_2", scaled, kChannels));
  const MadeData data = pictures();
  const Comparison comparison = diagnose(model, plain(), data, data);
  const Finding finding = expect_found(comparison, "mixed-range", "head");
  EXPECT_NE(finding.cause.find("columns"), std::string::npos) << finding.cause;
}

TEST(PlantedCauses, ExplodingTail) {
  Network net;
  const ValueId first = net.node("Relu", "relu_1", {net.conv("conv_1", net.x(), 3)});
  const Model model = net.finish(net.conv("conv_2", first, kChannels));
  const MadeData data(kSamples, {3, kSide, kSide}, [](int64_t sample) {
    std::vector<float> values(3 * kSide * kSide);
    Random random(7, static_cast<uint64_t>(sample));
    for (float& v : values) v = static_cast<float>(2 * random.uniform() - 1);
    if (sample == 3) values[30] = 200;
    return values;
  });
  const Comparison bad = diagnose(model, plain(), data, data);
  const Finding finding = expect_found(bad, "exploding-tail", "conv_1");
  ASSERT_EQ(finding.remedy, (std::vector<std::string>{"--range", "mse"}));
}

TEST(PlantedCauses, DeadChannel) {
  Network net;
  const ValueId first = net.node("Relu", "relu_1",
                                 {net.conv(
                                     "conv_1", net.x(), 3, 1, [](int64_t c) { return c == 3 ? 0.f : 1.f; }, -0.01f)});
  const Model model = net.finish(net.node("Relu", "relu_2", {net.conv("conv_2", first, kChannels)}));
  const MadeData data = pictures();
  const Finding finding = expect_found(diagnose(model, plain(), data, data), "dead-channel", "conv_1");
  EXPECT_NE(finding.cause.find("1 of its 8 channels never change on these samples (3)"), std::string::npos)
      << finding.cause;
}

TEST(PlantedCauses, ConstantInput) {
  Network net;
  const Model model = net.finish(net.conv("conv_1", net.x(), 3));
  const MadeData blank(kSamples, {3, kSide, kSide},
                       [](int64_t) { return std::vector<float>(3 * kSide * kSide, 0.5f); });
  expect_found(diagnose(model, plain(), pictures(), blank), "constant-input", "x");
}

TEST(PlantedCauses, CalibrationUnlikeEvaluationData) {
  Network net;
  const Model model = net.finish(net.conv("conv_1", net.x(), 3));
  // Calibrated on 0..1, evaluated on 0..255: a forgotten division.
  expect_found(diagnose(model, plain(), pictures(1), pictures(255)), "data-mismatch", "x");
  expect_found(diagnose(model, plain(), pictures(255), pictures(1)), "data-mismatch", "x");
  const Comparison like = diagnose(model, plain(), pictures(1, 1), pictures(1, 2));
  for (const Finding& finding : like.diagnosis.findings) EXPECT_NE(finding.rule, "data-mismatch") << finding.cause;
}

/// Rows whose first number is above 100 go through an expert: a part that these data may never reach.
Model routed_model() {
  GraphBuilder builder;
  const ValueId x = builder.input("x", Shape{Dim("N"), Dim(4)});
  const ValueId key = builder.node("Gather", "key", {x, builder.constant("first", Tensor::from<int64_t>({}, {0}))},
                                   {{"axis", int64_t{1}}});
  const ValueId chosen =
      builder.node("Greater", "chosen", {key, builder.constant("limit", Tensor::from<float>({}, {100}))});
  builder.graph.value(chosen).dtype = DType::bool_;
  const ValueId where = builder.node("NonZero", "where", {chosen});
  const ValueId rows =
      builder.node("Squeeze", "rows", {where, builder.constant("axis", Tensor::from<int64_t>({1}, {0}))});
  for (const ValueId index : {where, rows}) builder.graph.value(index).dtype = DType::int64;
  const ValueId taken = builder.node("Gather", "taken", {x, rows}, {{"axis", int64_t{0}}});
  const ValueId hidden =
      builder.node("Relu", "expert_relu",
                   {builder.node("MatMul", "expert", {taken, builder.constant("expert_w", random_tensor({4, 8}, 1))})});
  builder.output(builder.node("MatMul", "expert_out", {hidden, builder.constant("out_w", random_tensor({8, 2}, 2))}));
  builder.output(builder.node("MatMul", "always", {x, builder.constant("always_w", random_tensor({4, 2}, 3))}));
  Model model;
  model.graph = builder.graph;
  return model;
}

TEST(PlantedCauses, ATensorThatCalibrationNeverSawStaysFloatAndIsTold) {
  const MadeData data(kSamples, {4}, [](int64_t sample) {
    Random random(3, static_cast<uint64_t>(sample));
    std::vector<float> values(4);
    for (float& v : values) v = static_cast<float>(random.uniform());
    return values;
  });
  ThreadPool threads(1);
  const QuantizeResult result = quantize(routed_model(), &data, plain(), threads);
  EXPECT_TRUE(std::any_of(result.notes.begin(), result.notes.end(), [](const std::string& note) {
    return note.find("expert") != std::string::npos && note.find("never") != std::string::npos;
  }));
  bool always = false;
  for (const LayerDecision& layer : result.coverage.layers) always |= layer.name == "always" && layer.low_bit;
  EXPECT_TRUE(always);
}

TEST(PlantedCauses, ATensorThatTheseDataNeverReachIsTold) {
  const auto rows = [](float first) {
    return MadeData(kSamples, {4}, [=](int64_t sample) {
      Random random(3, static_cast<uint64_t>(sample));
      std::vector<float> values(4);
      for (float& v : values) v = static_cast<float>(random.uniform());
      if (sample % 2) values[0] = first;
      return values;
    });
  };
  const Comparison comparison = diagnose(routed_model(), plain(), rows(101), rows(0));
  expect_found(comparison, "unseen-tensor", "expert_out");
}

}  // namespace
}  // namespace lowbit
