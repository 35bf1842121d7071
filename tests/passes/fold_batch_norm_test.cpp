#include <gtest/gtest.h>

#include "lowbit/passes/passes.h"
#include "tests/passes/same_results.h"

namespace lowbit {
namespace {

using namespace testing;

/// One layer with 6 output channels and what a test puts behind it.
struct LayerCase {
  const char* name;
  const char* op;
  Dims input, weight;
  Attributes attributes;
  bool bias;
};

void PrintTo(const LayerCase& layer, std::ostream* out) { *out << layer.name; }

const std::vector<int64_t> kPads = {1, 1, 1, 1};

const LayerCase kLayers[] = {
    {"conv", "Conv", {2, 4, 5, 5}, {6, 4, 3, 3}, {{"pads", kPads}}, true},
    {"conv_without_bias", "Conv", {2, 4, 5, 5}, {6, 4, 3, 3}, {}, false},
    {"conv_1d", "Conv", {2, 4, 9}, {6, 4, 3}, {}, true},
    {"depthwise", "Conv", {2, 6, 5, 5}, {6, 1, 3, 3}, {{"group", int64_t{6}}}, true},
    {"conv_transpose", "ConvTranspose", {2, 4, 5, 5}, {4, 6, 3, 3}, {}, true},
    {"conv_transpose_groups", "ConvTranspose", {2, 4, 5, 5}, {4, 3, 3, 3}, {{"group", int64_t{2}}}, false},
    {"gemm", "Gemm", {3, 4}, {4, 6}, {}, true},
    {"gemm_transposed", "Gemm", {3, 4}, {6, 4}, {{"transB", int64_t{1}}}, false},
};

ValueId add_layer(GraphBuilder& b, const LayerCase& layer) {
  std::vector<ValueId> inputs = {b.input("x", to_shape(layer.input)), b.constant("w", random_tensor(layer.weight, 11))};
  if (layer.bias) inputs.push_back(b.constant("b", random_tensor({6}, 12)));
  return b.node(layer.op, "layer", inputs, layer.attributes);
}

ValueId add_batch_norm(GraphBuilder& b, ValueId x, const std::string& name, int64_t channels) {
  return b.node("BatchNormalization", name,
                {x, b.constant(name + "_gamma", random_tensor({channels}, 21)),
                 b.constant(name + "_beta", random_tensor({channels}, 22)),
                 b.constant(name + "_mean", random_tensor({channels}, 23)),
                 b.constant(name + "_var", random_tensor({channels}, 24, 0.1f, 2))},
                {{"epsilon", 0.01f}});
}

/// A constant that acts per channel on results of the layer.
Tensor per_channel(const LayerCase& layer, uint64_t seed) {
  Dims dims(layer.input.size() - 1, 1);
  dims[0] = 6;
  return random_tensor(dims, seed, 0.5f, 2);
}

class FoldBehindLayer : public ::testing::TestWithParam<LayerCase> {};

TEST_P(FoldBehindLayer, BatchNormGoesIntoTheWeights) {
  GraphBuilder b;
  b.output(add_batch_norm(b, add_layer(b, GetParam()), "bn", 6));
  const Rewritten after = apply_and_compare(b.graph, fold_batch_norm);
  EXPECT_EQ(after.changed, 1);
  ASSERT_EQ(after.graph.nodes.size(), 1u);
  EXPECT_EQ(after.graph.nodes[0].op, GetParam().op);
}

TEST_P(FoldBehindLayer, AChainOfConstantsGoesIntoTheWeights) {
  GraphBuilder b;
  ValueId y = add_layer(b, GetParam());
  y = b.node("Mul", "mul", {y, b.constant("c1", per_channel(GetParam(), 31))});
  y = b.node("Add", "add", {b.constant("c2", per_channel(GetParam(), 32)), y});
  y = b.node("Div", "div", {y, b.constant("c3", per_channel(GetParam(), 33))});
  y = b.node("Sub", "sub", {y, b.constant("c4", per_channel(GetParam(), 34))});
  y = b.node("Mul", "mul_scalar", {b.constant("c5", Tensor::scalar(0.7f)), y});
  b.output(y);
  const Rewritten after = apply_and_compare(b.graph, fold_batch_norm);
  EXPECT_EQ(after.changed, 5);
  EXPECT_EQ(after.graph.nodes.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Layers, FoldBehindLayer, ::testing::ValuesIn(kLayers),
                         [](const auto& tested) { return std::string(tested.param.name); });

/// Nodes that are left when `follower` is put behind a convolution.
size_t nodes_left(const std::function<ValueId(GraphBuilder&, ValueId)>& follower) {
  GraphBuilder b;
  b.output(follower(b, add_layer(b, kLayers[0])));
  return apply_and_compare(b.graph, fold_batch_norm).graph.nodes.size();
}

TEST(FoldBatchNorm, LeavesWhatIsNotPerChannel) {
  const auto with = [](const char* op, Tensor constant, bool first) {
    return [=](GraphBuilder& b, ValueId y) {
      const ValueId c = b.constant("c", constant);
      return b.node(op, "follower", first ? std::vector{c, y} : std::vector{y, c});
    };
  };
  const Tensor channels = random_tensor({6, 1, 1}, 1, 1, 2);
  EXPECT_EQ(nodes_left(with("Mul", channels, true)), 1u);
  EXPECT_EQ(nodes_left(with("Div", channels, true)), 2u) << "c / y is no scaling of y";
  EXPECT_EQ(nodes_left(with("Sub", channels, true)), 2u) << "c - y turns the sign";
  EXPECT_EQ(nodes_left(with("Mul", random_tensor({5}, 1), false)), 2u) << "acts along the width";
  EXPECT_EQ(nodes_left(with("Add", random_tensor({2, 1, 1, 1}, 1), false)), 2u) << "acts along the batch";
  EXPECT_EQ(nodes_left(with("Add", random_tensor({1, 1, 1, 1, 1}, 1), false)), 2u) << "adds a dimension";
}

TEST(FoldBatchNorm, LeavesResultsThatOthersRead) {
  GraphBuilder b;
  const ValueId y = add_layer(b, kLayers[0]);
  b.output(add_batch_norm(b, y, "bn", 6));
  b.output(b.node("Relu", "relu", {y}));
  EXPECT_EQ(apply_and_compare(b.graph, fold_batch_norm).changed, 0);

  GraphBuilder direct;
  const ValueId result = add_layer(direct, kLayers[0]);
  direct.output(add_batch_norm(direct, result, "bn", 6));
  direct.output(result);
  EXPECT_EQ(apply_and_compare(direct.graph, fold_batch_norm).changed, 0);
}

TEST(FoldBatchNorm, WeightsThatTwoLayersShareAreScaledApart) {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 4, 5, 5}), w = b.constant("w", random_tensor({6, 4, 3, 3}, 1));
  b.output(add_batch_norm(b, b.node("Conv", "first", {x, w}), "bn", 6));
  b.output(b.node("Conv", "second", {x, w}));
  EXPECT_EQ(apply_and_compare(b.graph, fold_batch_norm).changed, 1);
}

TEST(BatchNormToConv, AnUnfoldedOneBecomesDepthwise) {
  for (const Dims& dims : {Dims{2, 6, 5}, Dims{2, 6, 5, 4}, Dims{2, 6, 3, 4, 2}}) {
    GraphBuilder b;
    b.output(b.node("Relu", "relu", {add_batch_norm(b, b.input("x", to_shape(dims)), "bn", 6)}));
    const Rewritten after = apply_and_compare(b.graph, batch_norm_to_conv);
    EXPECT_EQ(after.changed, 1);
    EXPECT_EQ(count_op(after.graph, "Conv"), 1);
    EXPECT_EQ(after.graph.nodes[0].attr_int("group", 1), 6);
  }
}

TEST(BatchNormToConv, LeavesMatrices) {
  GraphBuilder b;
  b.output(add_batch_norm(b, b.input("x", {3, 6}), "bn", 6));
  EXPECT_EQ(apply_and_compare(b.graph, batch_norm_to_conv).changed, 0);
}

}  // namespace
}  // namespace lowbit
