#include "lowbit/methods/annotate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/observe/calibrate.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

constexpr double kLargestBiasCode = 1073741824.0;  // 2^30: the other half of the 32 bits is left to the products

/// A Gemm of 4 inputs and 3 results with rows of weights [out][in] and a bias.
GraphBuilder gemm(std::vector<float> weights, std::vector<float> bias) {
  GraphBuilder b;
  const ValueId x = b.input("x", {8, 4});
  b.output(b.node(
      "Gemm", "layer",
      {x, b.constant("w", Tensor::from<float>({3, 4}, weights)), b.constant("b", Tensor::from<float>({3}, bias))},
      {{"transB", int64_t{1}}}));
  return b;
}

struct Annotated {
  Graph graph;
  std::vector<std::string> notes;
  const Quantization& of(const std::string& name) const {
    return graph.value(graph.find_value(name).value()).quantization.value();
  }
};

/// Places, calibrates on uniform values in [0, 1), annotates.
Annotated annotated(const Graph& graph, const Recipe& recipe = {}) {
  Annotated result{graph, {}};
  const Placement placement = place(graph, recipe, true);
  ThreadPool threads(1);
  CalibrateOptions options;
  options.values = values_to_observe(graph, placement);
  int batches = 0;
  const auto source = [&](NamedTensors& inputs) -> int64_t {
    if (batches++ == 1) return 0;
    for (ValueId id : graph.inputs)
      inputs[graph.value(id).name] = random_tensor(concrete(*graph.value(id).shape).value(), 5, 0, 1);
    return 8;
  };
  const StatisticsSet statistics = calibrate(graph, source, threads, options);
  annotate(result.graph, recipe, placement, &statistics, result.notes);
  return result;
}

TEST(Annotate, ABiasThatOverflowsRaisesTheScaleOfItsChannelAndIsNoted) {
  // Channel 1: |b| / (s_x s_w) would be about 1 / (0.004 * 8e-12).
  const Annotated result =
      annotated(gemm({1, -1, 0.5f, 0.25f, 1e-9f, 0, 0, 0, -0.5f, 0.25f, 0.1f, 0}, {0.5f, 1, -0.25f}).graph);
  const Quantization& weight = result.of("w");
  const float input_scale = result.of("x").linear_at(0).scale;
  const auto code = [&](int64_t c, double bias) { return bias / (double{input_scale} * weight.linear_at(c).scale); };
  EXPECT_LE(code(1, 1.0), kLargestBiasCode);
  EXPECT_GT(code(1, 1.0), 0.999 * kLargestBiasCode) << "no more resolution than needed is given up";
  EXPECT_FLOAT_EQ(weight.linear_at(0).scale, 1.f / 127);
  EXPECT_FLOAT_EQ(weight.linear_at(2).scale, 0.5f / 127);
  ASSERT_EQ(result.notes.size(), 1u);
  EXPECT_NE(result.notes[0].find("layer: the weight scale of 1 channel was raised"), std::string::npos)
      << result.notes[0];
}

TEST(Annotate, PerTensorWeightsHaveOneScaleForTheLargestBias) {
  Recipe recipe;
  recipe.granularity = "tensor";
  const Annotated result = annotated(gemm(std::vector<float>(12, 1e-9f), {1, 4, -2}).graph, recipe);
  const double step = double{result.of("x").linear_at(0).scale} * result.of("w").linear_at(0).scale;
  EXPECT_LE(4 / step, kLargestBiasCode);
  EXPECT_GT(4 / step, 0.999 * kLargestBiasCode);
  EXPECT_EQ(result.notes.size(), 1u);
}

TEST(Annotate, ChannelsOfZerosHaveUsableScales) {
  for (const char* rule : {"minmax", "mse"}) {
    Recipe recipe;
    recipe.weight_range = rule;
    const Annotated result = annotated(gemm({0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0}, {0, 0, 0.5f}).graph, recipe);
    const Quantization& weight = result.of("w");
    ASSERT_EQ(weight.params.size(), 6u);
    for (int64_t c = 0; c < 3; ++c) {
      EXPECT_TRUE(std::isfinite(weight.linear_at(c).scale));
      EXPECT_GT(weight.linear_at(c).scale, 0);
      EXPECT_EQ(weight.linear_at(c).zero_point, 0);
    }
    const Tensor decoded = fake_quantize(weight, *result.graph.constant(*result.graph.find_value("w")));
    for (int64_t i : {0, 1, 2, 3, 8, 9, 10, 11}) EXPECT_EQ(decoded.data<float>()[i], 0);
  }
}

TEST(Annotate, BoundedResultsNeedNoCalibration) {
  GraphBuilder b;
  const ValueId x = b.input("x", {8, 4}), w = b.constant("w", random_tensor({4, 4}, 1));
  const ValueId gate = b.node("Sigmoid", "gate", {b.node("Gemm", "first", {x, w})});
  b.output(b.node("Gemm", "last", {gate, b.constant("w2", random_tensor({4, 4}, 2))}));
  const Annotated result = annotated(b.graph);
  EXPECT_FLOAT_EQ(result.of("gate_out").linear_at(0).scale, 1.f / 255);
  EXPECT_EQ(result.of("gate_out").linear_at(0).zero_point, 0);
}

TEST(Annotate, AValueThatCalibrationNeverSawIsNamed) {
  const GraphBuilder b = gemm(std::vector<float>(12, 1), {0, 0, 0});
  const Recipe recipe;
  const Placement placement = place(b.graph, recipe, true);
  Graph graph = b.graph;
  std::vector<std::string> notes;
  try {
    annotate(graph, recipe, placement, nullptr, notes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    EXPECT_NE(std::string(error.what()).find("'x'"), std::string::npos) << error.what();
  }
}

TEST(Annotate, TiedWeightsWithDifferentNeedsComeApart) {
  GraphBuilder b;
  const ValueId x = b.input("x", {8, 4}), w = b.constant("w", random_tensor({4, 4}, 1));
  b.output(b.node("Gemm", "plain", {x, w}));
  b.output(b.node("Gemm", "transposed", {x, w}, {{"transB", int64_t{1}}}));
  const Annotated result = annotated(b.graph);
  const Node &plain = result.graph.nodes[0], &transposed = result.graph.nodes[1];
  ASSERT_NE(plain.inputs[1], transposed.inputs[1]);
  EXPECT_EQ(result.graph.value(plain.inputs[1]).quantization.value().granularity.axis, 1);
  EXPECT_EQ(result.graph.value(transposed.inputs[1]).quantization.value().granularity.axis, 0);
  EXPECT_TRUE(identical(*result.graph.constant(plain.inputs[1]), *result.graph.constant(transposed.inputs[1])));
}

}  // namespace
}  // namespace lowbit
