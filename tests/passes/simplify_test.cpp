#include <gtest/gtest.h>

#include "lowbit/passes/passes.h"
#include "tests/passes/same_results.h"

namespace lowbit {
namespace {

using namespace testing;

ValueId ints(GraphBuilder& b, const std::string& name, std::vector<int64_t> values) {
  const Dims dims{static_cast<int64_t>(values.size())};
  return b.constant(name, Tensor::from<int64_t>(dims, values));
}

/// Pad with these inputs behind x, then a convolution with pads of its own.
Graph padded_conv(std::vector<int64_t> pads, float value, Attributes pad_attributes = {}) {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 3, 6, 6});
  const ValueId padded =
      b.node("Pad", "pad", {x, ints(b, "pads", std::move(pads)), b.constant("value", Tensor::scalar(value))},
             std::move(pad_attributes));
  const int64_t channels = 3;
  b.output(b.node("Conv", "conv", {padded, b.constant("w", random_tensor({4, channels, 3, 3}, 2))},
                  {{"pads", std::vector<int64_t>{1, 0, 0, 1}}, {"strides", std::vector<int64_t>{2, 1}}}));
  return b.graph;
}

TEST(FoldPad, ZeroPaddingGoesIntoTheConvolution) {
  const Rewritten after = apply_and_compare(padded_conv({0, 0, 1, 2, 0, 0, 3, 0}, 0), fold_pad);
  EXPECT_EQ(after.changed, 1);
  ASSERT_EQ(after.graph.nodes.size(), 1u);
  EXPECT_EQ(after.graph.nodes[0].attr_ints("pads"), (std::vector<int64_t>{2, 2, 3, 1}));
}

TEST(FoldPad, LeavesPaddingThatIsNoConvolutionsPadding) {
  const std::vector<int64_t> plain = {0, 0, 1, 1, 0, 0, 1, 1};
  EXPECT_EQ(apply_and_compare(padded_conv(plain, 0.5f), fold_pad).changed, 0);
  EXPECT_EQ(apply_and_compare(padded_conv({0, 0, -1, 0, 0, 0, 0, 0}, 0), fold_pad).changed, 0);
  EXPECT_EQ(apply_and_compare(padded_conv({1, 0, 1, 1, 0, 0, 1, 1}, 0), fold_pad).changed, 0);
  for (const char* mode : {"reflect", "edge", "wrap"})
    EXPECT_EQ(apply_and_compare(padded_conv(plain, 0, {{"mode", std::string(mode)}}), fold_pad).changed, 0) << mode;
}

TEST(FoldPad, APadThatOthersReadStaysForThem) {
  Graph graph = padded_conv({0, 0, 1, 1, 0, 0, 1, 1}, 0);
  graph.outputs.push_back(graph.nodes[0].outputs[0]);
  const Rewritten after = apply_and_compare(graph, fold_pad);
  EXPECT_EQ(after.changed, 1);
  EXPECT_EQ(count_op(after.graph, "Pad"), 1);
}

/// x [x_dims] times a 4 x 6 matrix, plus `bias` on either side.
Graph product(const Dims& x_dims, const Tensor* bias, bool bias_first = false) {
  GraphBuilder b;
  ValueId y = b.node("MatMul", "matmul", {b.input("x", to_shape(x_dims)), b.constant("w", random_tensor({4, 6}, 3))});
  if (bias) {
    const ValueId c = b.constant("c", *bias);
    y = b.node("Add", "add", bias_first ? std::vector{c, y} : std::vector{y, c});
  }
  b.output(y);
  return b.graph;
}

TEST(FuseGemm, AProductWithABiasBecomesOneNode) {
  for (const Dims& dims : {Dims{6}, Dims{1, 6}})
    for (bool first : {false, true}) {
      const Tensor bias = random_tensor(dims, 4);
      const Rewritten after = apply_and_compare(product({3, 4}, &bias, first), fuse_gemm);
      EXPECT_EQ(after.changed, 1);
      ASSERT_EQ(after.graph.nodes.size(), 1u);
      EXPECT_EQ(after.graph.nodes[0].op, "Gemm");
      EXPECT_EQ(after.graph.nodes[0].inputs.size(), 3u);
    }
}

TEST(FuseGemm, AnAdditionThatIsNoBiasStays) {
  for (const Dims& dims : {Dims{3, 1}, Dims{3, 6}, Dims{1, 1, 6}, Dims{}}) {
    const Tensor constant = random_tensor(dims, 4);
    const Rewritten after = apply_and_compare(product({3, 4}, &constant), fuse_gemm);
    EXPECT_EQ(after.graph.nodes.size(), 2u) << dims_text(dims);
    EXPECT_EQ(after.graph.nodes[0].op, "Gemm");
  }
}

TEST(FuseGemm, LeavesProductsOfHigherRank) {
  EXPECT_EQ(apply_and_compare(product({2, 3, 4}, nullptr), fuse_gemm).changed, 0);
  EXPECT_EQ(apply_and_compare(product({4}, nullptr), fuse_gemm).changed, 0);
}

TEST(RemoveIdentities, NodesThatChangeNothingGo) {
  GraphBuilder b;
  ValueId y = b.node("Relu", "relu", {b.input("x", {2, 3, 4})});
  y = b.node("Identity", "identity", {y});
  y = b.node("Dropout", "dropout", {y, b.constant("ratio", Tensor::scalar(0.5f))});
  y = b.node("Cast", "cast", {y}, {{"to", int64_t{1}}});
  y = b.node("Transpose", "transpose", {y}, {{"perm", std::vector<int64_t>{0, 1, 2}}});
  b.output(y);
  const Rewritten after = apply_and_compare(b.graph, remove_identities);
  EXPECT_EQ(after.changed, 4);
  EXPECT_EQ(after.graph.nodes.size(), 1u);
}

TEST(RemoveIdentities, WhatChangesSomethingStays) {
  GraphBuilder b;
  ValueId y = b.node("Transpose", "turned", {b.input("x", {2, 3, 4})}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  y = b.node("Transpose", "reversed", {y});  // without perm: all axes reversed
  b.output(y);
  EXPECT_EQ(apply_and_compare(b.graph, remove_identities).changed, 0);
}

TEST(RemoveIdentities, AnOutputThatIsAnInputOrAConstantKeepsItsNode) {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 3});
  b.output(b.node("Identity", "of_input", {x}));
  b.output(b.node("Identity", "of_constant", {b.constant("c", random_tensor({2}, 5))}));
  const ValueId y = b.node("Relu", "relu", {x});
  b.output(y);
  b.output(b.node("Identity", "of_output", {y}));
  EXPECT_EQ(apply_and_compare(b.graph, remove_identities).changed, 0);
}

}  // namespace
}  // namespace lowbit
