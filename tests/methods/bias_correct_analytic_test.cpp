#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/methods/methods.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;

/// A Gemm of 2 inputs and 1 result, annotated with int4 weights at scale 0.25, and its corrected bias.
Tensor corrected_bias(const Tensor& bias) {
  GraphBuilder b;
  const ValueId x = b.input("x", {4, 2}), w = b.constant("w", Tensor::from<float>({2, 1}, {0.6f, -0.9f}));
  b.output(b.node("Gemm", "layer", {x, w, b.constant("b", bias)}));
  b.graph.value(w).quantization = linear_quantization(parse_number_format("int4"), {0.25f, 0}, "test");
  StatisticsSet statistics;
  statistics.tensors["x"].channel_axis = 1;
  statistics.tensors["x"].add(Tensor::from<float>({2, 2}, {1, 4, 3, 8}), true);  // means 2 and 6
  const Recipe recipe;
  ThreadPool threads(1);
  MethodContext context{
      .recipe = recipe, .threads = threads, .statistics = &statistics, .batches = {}, .progress = {}, .set = {}};
  bias_correct_analytic_method().apply(b.graph, context);
  return *b.graph.constant(b.graph.nodes[0].inputs[2]);
}

TEST(BiasCorrectAnalytic, TakesOutTheMeanErrorOfTheRoundedWeights) {
  // 0.6 -> 0.5 and -0.9 -> -1: the results shift by -0.1 * 2 - 0.1 * 6 = -0.8.
  const Tensor bias = corrected_bias(Tensor::from<float>({1}, {1}));
  ASSERT_EQ(bias.count(), 1);
  EXPECT_NEAR(bias.data<float>()[0], 1.8f, 1e-6);
}

TEST(BiasCorrectAnalytic, ABiasWithoutDimensionsIsOneNumber) {
  EXPECT_NEAR(corrected_bias(Tensor::scalar(1.f)).data<float>()[0], 1.8f, 1e-6);
}

}  // namespace
}  // namespace lowbit
