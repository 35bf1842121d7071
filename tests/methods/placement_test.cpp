#include "lowbit/methods/placement.h"

#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

/// Small networks of convolutions with 4 channels and matrix layers with 8.
class PlacedNetwork : public GraphBuilder {
 public:
  ValueId conv(const std::string& name, ValueId x) {
    return node("Conv", name, {x, constant(name + "_w", random_tensor({4, 4, 1, 1}, 1))});
  }
  ValueId gemm(const std::string& name, ValueId x) {
    return node("Gemm", name, {x, constant(name + "_w", random_tensor({8, 8}, 2))});
  }
  ValueId picture() { return input("x", {1, 4, 6, 6}); }
};

struct Placed {
  const Graph& graph;
  Placement placement;

  Placed(const Graph& network, const Recipe& recipe = {}, bool with_activations = true)
      : graph(network), placement(place(network, recipe, with_activations)) {}
  const NodePlan& plan(const std::string& name) const {
    for (size_t n = 0; n < graph.nodes.size(); ++n)
      if (graph.nodes[n].name == name) return placement.nodes[n];
    throw std::out_of_range(name);
  }
  bool quantized(ValueId id) const { return placement.quantized[static_cast<size_t>(id)] != 0; }
  ValueId owner(ValueId id) const { return placement.parameters_of[static_cast<size_t>(id)]; }
};

std::string refusal(const Graph& graph, const Recipe& recipe) {
  try {
    place(graph, recipe, true);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    return error.what();
  }
  return "";
}

TEST(Placement, TheSumOfAResidualBlockIsQuantized) {
  PlacedNetwork net;
  const ValueId x = net.picture(), first = net.conv("first", x), branch = net.conv("branch", first);
  const ValueId sum = net.node("Add", "sum", {branch, first});
  const ValueId last = net.conv("last", sum);
  net.output(last);
  const Placed placed(net.graph);
  EXPECT_EQ(placed.plan("sum").role, NodeRole::integer);
  for (ValueId id : {x, first, branch, sum, last}) EXPECT_TRUE(placed.quantized(id)) << net.graph.value(id).name;
}

TEST(Placement, AResultThatOnlyAReluReadsIsRoundedBehindIt) {
  PlacedNetwork net;
  const ValueId first = net.conv("first", net.picture()), branch = net.conv("branch", first);
  const ValueId sum = net.node("Add", "sum", {branch, first}), relu = net.node("Relu", "relu", {sum});
  net.output(net.conv("last", relu));
  const Placed placed(net.graph);
  EXPECT_FALSE(placed.quantized(sum));
  EXPECT_TRUE(placed.quantized(relu));
  EXPECT_TRUE(placed.quantized(branch)) << "the sum reads it, not a Relu";
}

TEST(Placement, ATailBehindTheLastGemmStaysFloat) {
  PlacedNetwork net;
  const ValueId hidden = net.gemm("hidden", net.input("x", {1, 8}));
  const ValueId relu = net.node("Relu", "relu", {hidden}), scores = net.gemm("scores", relu);
  const ValueId shifted = net.node("Add", "shift", {scores, net.constant("c", random_tensor({8}, 3))});
  const ValueId shares = net.node("Softmax", "softmax", {shifted});
  net.output(shares);
  const Placed placed(net.graph);
  EXPECT_TRUE(placed.quantized(relu));
  EXPECT_EQ(placed.plan("scores").role, NodeRole::anchor);
  for (ValueId id : {scores, shifted, shares}) EXPECT_FALSE(placed.quantized(id)) << net.graph.value(id).name;
  EXPECT_EQ(placed.plan("shift").role, NodeRole::floating);
  EXPECT_NE(placed.plan("shift").reason.find("behind the last layer"), std::string::npos);
  EXPECT_NE(placed.plan("softmax").reason.find("no integer form"), std::string::npos);
}

TEST(Placement, QuantizeOutputsRoundsTheLastLayerToo) {
  PlacedNetwork net;
  const ValueId scores = net.gemm("scores", net.input("x", {1, 8}));
  net.output(scores);
  Recipe recipe;
  EXPECT_FALSE(Placed(net.graph, recipe).quantized(scores));
  recipe.quantize_outputs = true;
  EXPECT_TRUE(Placed(net.graph, recipe).quantized(scores));
}

TEST(Placement, ASoftmaxChainBetweenTwoProductsStaysFloat) {
  PlacedNetwork net;
  const ValueId q = net.input("q", {2, 6, 8}), k = net.input("k", {2, 8, 6}), v = net.input("v", {2, 6, 8});
  const ValueId products = net.node("MatMul", "products", {q, k});
  const ValueId scaled = net.node("Mul", "scale", {products, net.constant("c", Tensor::scalar(0.35f))});
  const ValueId shares = net.node("Softmax", "softmax", {scaled}), mixed = net.node("MatMul", "mix", {shares, v});
  net.output(net.gemm(
      "last", net.node("Reshape", "flat", {mixed, net.constant("shape", Tensor::from<int64_t>({2}, {12, 8}))})));
  const Placed placed(net.graph);
  EXPECT_EQ(placed.plan("products").role, NodeRole::anchor);
  EXPECT_EQ(placed.plan("scale").role, NodeRole::floating);
  EXPECT_FALSE(placed.quantized(products));
  EXPECT_FALSE(placed.quantized(scaled));
  for (ValueId id : {q, k, v, shares, mixed}) EXPECT_TRUE(placed.quantized(id)) << net.graph.value(id).name;
}

TEST(Placement, BranchesOfAConcatShareItsParameters) {
  PlacedNetwork net;
  const ValueId x = net.picture(), left = net.conv("left", x), right = net.conv("right", x);
  const ValueId both = net.conv("both", x);  // read by the Concat and by another layer
  const ValueId joined = net.node("Concat", "join", {left, right, both}, {{"axis", int64_t{0}}});
  net.output(net.conv("last", joined));
  net.output(net.conv("other", both));
  const Placed placed(net.graph);
  EXPECT_EQ(placed.plan("join").role, NodeRole::concat);
  for (ValueId id : {left, right, both, joined}) EXPECT_TRUE(placed.quantized(id));
  EXPECT_EQ(placed.owner(left), joined);
  EXPECT_EQ(placed.owner(right), joined);
  EXPECT_EQ(placed.owner(both), both) << "another layer reads it with its own range";
}

TEST(Placement, MovedCodesKeepTheParametersOfTheirSource) {
  PlacedNetwork net;
  const ValueId first = net.conv("first", net.picture());
  const ValueId pooled = net.node("MaxPool", "pool", {first}, {{"kernel_shape", std::vector<int64_t>{2, 2}}});
  const ValueId turned = net.node("Transpose", "turn", {pooled}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  net.output(net.conv("last", turned));
  const Placed placed(net.graph);
  EXPECT_EQ(placed.owner(pooled), first);
  EXPECT_EQ(placed.owner(turned), first);
  EXPECT_TRUE(placed.quantized(turned));
}

TEST(Placement, ASelectorThatMatchesNothingNamesTheNearest) {
  PlacedNetwork net;
  net.output(net.conv("stage1_conv", net.picture()));
  for (auto selectors : {&Recipe::include, &Recipe::exclude}) {
    Recipe recipe;
    (recipe.*selectors) = {"stage1_cnv"};
    const std::string message = refusal(net.graph, recipe);
    EXPECT_NE(message.find("stage1_cnv"), std::string::npos) << message;
    EXPECT_NE(message.find("did you mean stage1_conv"), std::string::npos) << message;
  }
  Recipe recipe;
  recipe.rules.push_back({"op:Gemm", {}});
  EXPECT_NE(refusal(net.graph, recipe).find("matches no layer"), std::string::npos);
}

TEST(Placement, ExcludedAndNotIncludedLayersSayWhy) {
  PlacedNetwork net;
  const ValueId first = net.conv("first", net.picture()), middle = net.conv("middle", first);
  net.output(net.conv("last", middle));
  Recipe recipe;
  recipe.exclude = {"mid*"};
  const Placed without(net.graph, recipe);
  EXPECT_EQ(without.plan("middle").role, NodeRole::floating);
  EXPECT_EQ(without.plan("middle").reason, "excluded");
  EXPECT_EQ(without.plan("last").role, NodeRole::anchor);
  recipe.exclude.clear();
  recipe.include = {"last"};
  const Placed only(net.graph, recipe);
  EXPECT_EQ(only.plan("first").reason, "not included");
  EXPECT_EQ(only.plan("last").role, NodeRole::anchor);
}

TEST(Placement, LaterRulesWin) {
  PlacedNetwork net;
  net.output(net.conv("last", net.conv("first", net.picture())));
  Recipe recipe;
  LayerRule all{"op:Conv", {}}, one{"last", {}};
  all.settings.weights = "int4";
  one.settings.weights = "none";
  recipe.rules = {all, one};
  const Placed placed(net.graph, recipe);
  EXPECT_EQ(placed.plan("first").settings.weights, "int4");
  EXPECT_EQ(placed.plan("last").role, NodeRole::floating);
  EXPECT_EQ(placed.plan("last").reason, "its weights stay float");
}

TEST(Placement, WithoutActivationsOnlyWeightsAreLowBit) {
  PlacedNetwork net;
  const ValueId first = net.conv("first", net.picture()), relu = net.node("Relu", "relu", {first});
  net.output(net.conv("last", relu));
  const Placed placed(net.graph, {}, /*with_activations=*/false);
  EXPECT_EQ(placed.plan("first").role, NodeRole::weights_only);
  EXPECT_EQ(placed.plan("relu").role, NodeRole::floating);
  for (size_t v = 0; v < net.graph.values.size(); ++v) EXPECT_FALSE(placed.quantized(static_cast<ValueId>(v)));
}

}  // namespace
}  // namespace lowbit
