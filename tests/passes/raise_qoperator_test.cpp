#include <gtest/gtest.h>

#include "lowbit/core/weights.h"
#include "lowbit/passes/raise_qdq.h"
#include "tests/passes/same_results.h"

namespace lowbit {
namespace {

using namespace testing;

/// QLinearConv over uint8 codes, 1 input channel, 2 output channels, with a bias and these weight scales.
Graph integer_convolution(const Tensor& weight_scale) {
  GraphBuilder b;
  const ValueId x = b.node("QuantizeLinear", "quantize",
                           {b.input("x", {1, 1, 4, 4}), b.constant("x_scale", Tensor::scalar(0.02f)),
                            b.constant("x_zero", Tensor::scalar(uint8_t{128}))});
  const ValueId weight = b.constant("w", Tensor::from<int8_t>({2, 1, 1, 1}, {100, -50}));
  const ValueId y =
      b.node("QLinearConv", "conv",
             {x, *b.graph.find_value("x_scale"), *b.graph.find_value("x_zero"), weight,
              b.constant("w_scale", weight_scale), b.constant("w_zero", Tensor(DType::int8, weight_scale.dims())),
              b.constant("y_scale", Tensor::scalar(0.05f)), b.constant("y_zero", Tensor::scalar(uint8_t{100})),
              b.constant("bias", Tensor::from<int32_t>({2}, {1000, -500}))});
  b.output(
      b.node("DequantizeLinear", "dequantize", {y, *b.graph.find_value("y_scale"), *b.graph.find_value("y_zero")}));
  return b.graph;
}

TEST(RaiseQoperator, AConvolutionOfCodesBecomesAFloatOneWithAnnotations) {
  Graph graph = integer_convolution(Tensor::from<float>({2}, {0.01f, 0.02f}));
  raise_qdq(graph);
  ASSERT_EQ(count_op(graph, "Conv"), 1) << dump(graph);
  ASSERT_EQ(graph.nodes.size(), 1u) << dump(graph);
  const Node& conv = graph.nodes[0];
  EXPECT_EQ(weight_values(graph.value(conv.inputs[1])).data<float>()[0], 1.0f);
  EXPECT_EQ(weight_values(graph.value(conv.inputs[1])).data<float>()[1], -1.0f);
  EXPECT_FLOAT_EQ(graph.constant(conv.inputs[2])->data<float>()[0], 1000 * 0.02f * 0.01f);
  EXPECT_FLOAT_EQ(graph.constant(conv.inputs[2])->data<float>()[1], -500 * 0.02f * 0.02f);
  EXPECT_EQ(graph.value(conv.inputs[0]).quantization.value().linear_at(0).zero_point, 128);
  EXPECT_EQ(graph.value(conv.outputs[0]).quantization.value().linear_at(0).zero_point, 100);
}

TEST(RaiseQoperator, WeightScalesWithoutElementsDoNoHarm) {
  Graph graph = integer_convolution(Tensor(DType::float32, {0}));
  EXPECT_NO_THROW(raise_qdq(graph));
}

TEST(RaiseQoperator, ADynamicConvolutionKeepsItsScalesPerChannel) {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 1, 4, 4});
  const ValueId codes = b.node("DynamicQuantizeLinear", "quantize", {x});
  const ValueId x_scale = b.graph.add_value("x_scale", DType::float32), x_zero = b.graph.add_value("x_zero");
  b.graph.nodes.back().outputs = {codes, x_scale, x_zero};
  const ValueId weight = b.constant("w", Tensor::from<int8_t>({2, 1, 1, 1}, {100, -50}));
  const ValueId sums = b.node("ConvInteger", "conv", {codes, weight, x_zero});
  const ValueId cast = b.node("Cast", "cast", {sums}, {{"to", int64_t{1}}});
  const ValueId scales =
      b.node("Mul", "scales", {x_scale, b.constant("w_scale", Tensor::from<float>({2, 1, 1}, {0.01f, 0.02f}))});
  b.output(b.node("Mul", "rescale", {cast, scales}));
  raise_qdq(b.graph);
  ASSERT_EQ(count_op(b.graph, "Conv"), 1) << dump(b.graph);
  const auto conv =
      std::find_if(b.graph.nodes.begin(), b.graph.nodes.end(), [](const Node& n) { return n.is("Conv"); });
  EXPECT_TRUE(b.graph.value(conv->inputs[0]).quantization.value().dynamic);
  const Quantization& annotation = b.graph.value(conv->inputs[1]).quantization.value();
  EXPECT_EQ(annotation.granularity.kind, Granularity::Kind::channel);
  EXPECT_EQ(annotation.linear_at(0).scale, 0.01f);
  EXPECT_EQ(annotation.linear_at(1).scale, 0.02f);
  EXPECT_EQ(weight_values(b.graph.value(conv->inputs[1])).data<float>()[1], -1.0f);
}

}  // namespace
}  // namespace lowbit
