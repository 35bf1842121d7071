#include "lowbit/methods/weight_fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/random.h"

namespace lowbit {
namespace {

/// A layer `op` that reads "x", whose channels have these mean squares, and a weight.
struct Layer {
  Graph graph;
  StatisticsSet statistics;

  Layer(const char* op, const Tensor& weight, const std::vector<double>& mean_squares, Attributes attributes = {}) {
    const ValueId x = graph.add_value("x", DType::float32);
    const ValueId w = graph.add_constant("w", weight);
    const ValueId y = graph.add_value("y", DType::float32);
    Node node;
    node.name = "layer";
    node.op = op;
    node.inputs = {x, w};
    node.outputs = {y};
    node.attributes = std::move(attributes);
    graph.nodes.push_back(node);
    TensorStatistics& seen = statistics.tensors["x"];
    seen.channel_axis = 1;
    const auto channels = static_cast<int64_t>(mean_squares.size());
    Tensor data(DType::float32, {1, channels});
    for (int64_t c = 0; c < channels; ++c)
      data.mutable_data<float>()[c] = static_cast<float>(std::sqrt(mean_squares[static_cast<size_t>(c)]));
    seen.add(data, true);
  }
  std::vector<float> importance() const {
    return weight_importance(graph, graph.nodes[0], *graph.constant(graph.nodes[0].inputs[1]), &statistics);
  }
};

TEST(WeightImportance, FollowsTheInputChannelOfEachElement) {
  // Mean squares 1, 4, 9, 2: mean 4.
  const std::vector<double> squares = {1, 4, 9, 2};
  const std::vector<float> share = {0.25f, 1, 2.25f, 0.5f};
  const Layer conv("Conv", Tensor(DType::float32, {3, 4, 2}), squares);
  const std::vector<float> of_conv = conv.importance();
  ASSERT_EQ(of_conv.size(), 24u);
  for (size_t i = 0; i < 24; ++i) EXPECT_FLOAT_EQ(of_conv[i], share[i / 2 % 4]);
  const Layer depthwise("Conv", Tensor(DType::float32, {4, 1, 3}), squares, {{"group", int64_t{4}}});
  const std::vector<float> of_depthwise = depthwise.importance();
  ASSERT_EQ(of_depthwise.size(), 12u);
  for (size_t i = 0; i < 12; ++i) EXPECT_FLOAT_EQ(of_depthwise[i], share[i / 3]);
  const Layer product("MatMul", Tensor(DType::float32, {4, 5}), squares);
  const std::vector<float> of_product = product.importance();
  ASSERT_EQ(of_product.size(), 20u);
  for (size_t i = 0; i < 20; ++i) EXPECT_FLOAT_EQ(of_product[i], share[i / 5]);
  const Layer gemm("Gemm", Tensor(DType::float32, {5, 4}), squares, {{"transB", int64_t{1}}});
  const std::vector<float> of_gemm = gemm.importance();
  ASSERT_EQ(of_gemm.size(), 20u);
  for (size_t i = 0; i < 20; ++i) EXPECT_FLOAT_EQ(of_gemm[i], share[i % 4]);
}

TEST(WeightImportance, IsAbsentWhereTheInputWasNotMeasured) {
  const Layer layer("MatMul", Tensor(DType::float32, {4, 5}), {1, 2, 3});
  EXPECT_TRUE(layer.importance().empty()) << "three channels measured, four read";
  const Graph& graph = layer.graph;
  EXPECT_TRUE(weight_importance(graph, graph.nodes[0], *graph.constant(1), nullptr).empty());
}

TEST(WeightImportance, ChannelsThatAreAlwaysZeroKeepASmallWeight) {
  const Layer layer("MatMul", Tensor(DType::float32, {3, 1}), {0, 1, 2});
  const std::vector<float> importance = layer.importance();
  ASSERT_EQ(importance.size(), 3u);
  EXPECT_GT(importance[0], 0);
  EXPECT_EQ(importance[0], importance[1]);
}

TEST(WeightFit, MeasuresErrorSignalAndBits) {
  const Tensor weight = Tensor::from<float>({2, 2}, {1, -2, 0.5f, 3});
  const WeightFit fit = fit_weight(parse_number_format("int2"), {}, weight, {}, FitRule::minmax, nullptr);
  // Scale 3: codes 0, -1, 0, 1 give 0, -3, 0, 3.
  EXPECT_DOUBLE_EQ(fit.error, 1 + 1 + 0.25);
  EXPECT_DOUBLE_EQ(fit.signal, 1 + 4 + 0.25 + 9);
  EXPECT_EQ(fit.bits, 4 * 2 + 32);
  EXPECT_NEAR(fit.sqnr_db(), 10 * std::log10(14.25 / 2.25), 1e-12);
  const std::vector<float> importance = {1, 0, 0, 0};
  EXPECT_DOUBLE_EQ(fit_weight(parse_number_format("int2"), {}, weight, importance, FitRule::minmax, nullptr).error, 1);
}

TEST(WeightFit, ThreadsDoNotChangeIt) {
  Random random(4);
  Tensor weight(DType::float32, {64, 100});
  for (float& value : weight.mutable_values<float>()) value = static_cast<float>(random.normal());
  ThreadPool threads(3);
  for (const char* name : {"int4", "exp3", "codebook3", "nf4", "vq-2x16"})
    for (const char* granularity : {"tensor", "channel", "group:32"}) {
      const NumberFormat format = parse_number_format(name);
      const Granularity cut = parse_granularity(granularity);
      EXPECT_EQ(fit_weight(format, cut, weight, {}, FitRule::mse, &threads).quantization.params,
                fit_weight(format, cut, weight, {}, FitRule::mse, nullptr).quantization.params)
          << name << " " << granularity;
    }
}

}  // namespace
}  // namespace lowbit
