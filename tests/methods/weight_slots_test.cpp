// Weights of every operator that has constant ones become low-bit, once for each constant.
#include "lowbit/methods/weight_slots.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/methods/annotate.h"
#include "lowbit/methods/body_weights.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

Recipe weights_only(const std::string& weights = "int8") {
  Recipe recipe;
  recipe.weights = weights;
  recipe.activations = "none";
  recipe.methods = {};
  return recipe;
}

struct AnnotatedNetwork {
  Graph graph;
  Coverage coverage;
};

AnnotatedNetwork annotated_network(Graph graph, const Recipe& recipe) {
  const Graph before = graph;
  const Placement placement = place(graph, recipe, false);
  std::vector<std::string> notes;
  annotate(graph, recipe, placement, nullptr, notes);
  Coverage coverage = coverage_of(graph, placement, nullptr, &before);
  return {std::move(graph), std::move(coverage)};
}

const Value& named(const Graph& graph, const std::string& name) { return graph.value(*graph.find_value(name)); }

std::string granularity(const Graph& graph, const std::string& name) {
  const auto& q = named(graph, name).quantization;
  return q ? to_string(q->granularity) + " axis " + std::to_string(q->granularity.axis) : "float";
}

TEST(WeightSlots, EveryOperatorWithConstantWeightsHasThemLowBit) {
  GraphBuilder b;
  const ValueId picture = b.input("picture", {1, 4, 6, 6}), rows = b.input("rows", {5, 8}),
                batch = b.input("batch", {2, 5, 8}), words = b.input("words", {5}, DType::int64),
                sequence = b.input("sequence", {7, 1, 3});
  const auto weight = [&](const char* name, Dims dims) { return b.constant(name, random_tensor(std::move(dims), 1)); };
  b.output(b.node("Conv", "conv", {picture, weight("conv_w", {6, 4, 3, 3})}));
  b.output(b.node("ConvTranspose", "up", {picture, weight("up_w", {4, 6, 2, 2})}));
  b.output(b.node("ConvTranspose", "up2", {picture, weight("up2_w", {4, 3, 2, 2})}, {{"group", int64_t{2}}}));
  b.output(b.node("Gemm", "gemm", {rows, weight("gemm_w", {6, 8})}, {{"transB", int64_t{1}}, {"alpha", 0.5f}}));
  b.output(b.node("MatMul", "right", {rows, weight("right_w", {8, 6})}));
  b.output(b.node("MatMul", "left", {weight("left_w", {6, 5}), rows}));
  b.output(b.node("MatMul", "batched", {batch, weight("batched_w", {2, 8, 6})}));
  b.output(b.node("Gather", "embedding", {weight("embedding_w", {10, 8}), words}));
  b.output(b.node("Einsum", "einsum", {rows, weight("einsum_w", {8, 6})}, {{"equation", std::string("bi,io->bo")}}));
  b.output(b.node("LSTM", "lstm", {sequence, weight("lstm_w", {1, 16, 3}), weight("lstm_r", {1, 16, 4})},
                  {{"hidden_size", int64_t{4}}}));
  b.output(b.node("GRU", "gru", {sequence, weight("gru_w", {2, 12, 3}), weight("gru_r", {2, 12, 4})},
                  {{"hidden_size", int64_t{4}}, {"direction", std::string("bidirectional")}}));
  b.output(b.node("RNN", "rnn", {sequence, weight("rnn_w", {1, 4, 3}), weight("rnn_r", {1, 4, 4})},
                  {{"hidden_size", int64_t{4}}}));
  const AnnotatedNetwork result = annotated_network(b.graph, weights_only());
  const std::vector<std::pair<const char*, const char*>> wanted = {
      {"conv_w", "channel axis 0"},    {"up_w", "channel axis 1"},        {"up2_w", "group:8 axis 1"},
      {"gemm_w", "channel axis 0"},    {"right_w", "channel axis 1"},     {"left_w", "channel axis 0"},
      {"batched_w", "group:8 axis 2"}, {"embedding_w", "channel axis 0"}, {"einsum_w", "channel axis 1"},
      {"lstm_w", "channel axis 1"},    {"lstm_r", "channel axis 1"},      {"gru_w", "group:3 axis 0"},
      {"gru_r", "group:4 axis 0"},     {"rnn_w", "channel axis 1"},       {"rnn_r", "channel axis 1"}};
  for (const auto& [name, text] : wanted) EXPECT_EQ(granularity(result.graph, name), text) << name;
  // Runs that stand for channels: one set of parameters for each (matrix, column), (direction, gate row), (group,
  // channel).
  EXPECT_EQ(named(result.graph, "batched_w").quantization->params.size(), 2u * 2 * 6);
  EXPECT_EQ(named(result.graph, "gru_w").quantization->params.size(), 2u * 2 * 12);
  EXPECT_EQ(named(result.graph, "up2_w").quantization->params.size(), 2u * 2 * 3);
  for (const LayerDecision& layer : result.coverage.layers) {
    EXPECT_TRUE(layer.low_bit) << layer.name;
    EXPECT_NE(layer.reason.find("weights only"), std::string::npos) << layer.name;
    EXPECT_LT(layer.weight_bytes, layer.float_weight_bytes) << layer.name;
  }
  EXPECT_EQ(result.coverage.quantized_share_bytes, 1);
}

TEST(WeightSlots, AConstantThatSeveralLayersReadIsDecidedOnce) {
  GraphBuilder b;
  const ValueId words = b.input("words", {5}, DType::int64), rows = b.input("rows", {5, 8});
  const ValueId table = b.constant("table", random_tensor({8, 8}, 1));
  b.output(b.node("Gather", "embedding", {table, words}));
  b.output(b.node("MatMul", "head", {rows, table}));
  const size_t values = b.graph.values.size();
  const AnnotatedNetwork result = annotated_network(b.graph, weights_only());
  EXPECT_EQ(result.graph.values.size(), values);
  EXPECT_EQ(granularity(result.graph, "table"), "channel axis 0");
}

TEST(WeightSlots, AnExcludedLayerKeepsAFloatCopyOfASharedConstant) {
  GraphBuilder b;
  const ValueId rows = b.input("rows", {5, 8}), table = b.constant("table", random_tensor({8, 8}, 1));
  b.output(b.node("MatMul", "first", {rows, table}));
  b.output(b.node("MatMul", "second", {rows, table}));
  Recipe recipe = weights_only();
  recipe.exclude = {"second"};
  const AnnotatedNetwork result = annotated_network(b.graph, recipe);
  EXPECT_FALSE(result.graph.value(result.graph.nodes[1].inputs[1]).quantization);
  EXPECT_TRUE(result.graph.value(result.graph.nodes[0].inputs[1]).quantization);
}

/// If with a MatMul by an own constant in one branch and by one of the outer graph in the other.
Graph conditional() {
  GraphBuilder b;
  const ValueId condition = b.input("condition", {}, DType::bool_), rows = b.input("rows", {5, 8});
  const ValueId outer = b.constant("outer_w", random_tensor({8, 8}, 1));
  const auto body = [&](const char* name, bool own) {
    auto inner = std::make_shared<Graph>();
    const ValueId x = inner->add_value("rows");
    inner->captures.emplace_back(rows, x);
    ValueId w = kNone;
    if (own) {
      w = inner->add_constant("own_w", random_tensor({8, 8}, 2));
    } else {
      w = inner->add_value("outer_w");
      inner->captures.emplace_back(outer, w);
    }
    Node node;
    node.op = "MatMul";
    node.name = name;
    node.inputs = {x, w};
    node.outputs = {inner->add_value(std::string(name) + "_y")};
    inner->outputs = node.outputs;
    inner->nodes.push_back(node);
    return inner;
  };
  b.output(b.node("If", "if", {condition},
                  {{"then_branch", body("then_mul", true)}, {"else_branch", body("else_mul", false)}}));
  return b.graph;
}

TEST(WeightSlots, WeightsInsideSubgraphsAreLowBitAndTheSourceIsLeftAlone) {
  const Graph graph = conditional();
  const AnnotatedNetwork result = annotated_network(graph, weights_only("int4"));
  EXPECT_TRUE(named(*result.graph.nodes[0].attr_graph("then_branch"), "own_w").quantization);
  EXPECT_TRUE(named(result.graph, "outer_w").quantization);
  EXPECT_FALSE(named(*graph.nodes[0].attr_graph("then_branch"), "own_w").quantization);
  EXPECT_EQ(result.coverage.quantized_share_bytes, 1);
  Recipe recipe = weights_only();
  recipe.exclude = {"then_mul"};
  EXPECT_FALSE(named(*annotated_network(graph, recipe).graph.nodes[0].attr_graph("then_branch"), "own_w").quantization);
}

TEST(WeightSlots, StochasticRoundingKeepsTheCodesThatItDrew) {
  const Tensor weight = random_tensor({64, 64}, 3);
  Recipe recipe = weights_only("int4");
  Quantization q;
  q.format = parse_number_format("int4");
  q.granularity = parse_granularity("channel");
  q.params = fit_groups(q.format, q.granularity, weight.dims(), weight.data<float>(), {}, {});
  recipe.rounding = "stochastic:7";
  const Tensor drawn = rounded_weight(recipe, q, "w", weight);
  EXPECT_TRUE(identical(fake_quantize(q, drawn), drawn)) << "the values encode to the codes that were drawn";
  EXPECT_TRUE(identical(rounded_weight(recipe, q, "w", weight), drawn)) << "the same seed";
  EXPECT_FALSE(identical(rounded_weight(recipe, q, "other", weight), drawn)) << "layers draw for themselves";
  recipe.rounding = "stochastic:8";
  EXPECT_FALSE(identical(rounded_weight(recipe, q, "w", weight), drawn)) << "another seed";
  double mean_error = 0, step = 0;
  for (int64_t i = 0; i < weight.count(); ++i) {
    const double s = q.linear_at(i / 64).scale, error = drawn.data<float>()[i] - weight.data<float>()[i];
    EXPECT_LE(std::abs(error), s * 1.0001);
    mean_error += error / 4096;
    step = std::max(step, s);
  }
  // 4096 errors of standard deviation below step / 2: the mean is within 5 deviations of 0.
  EXPECT_LE(std::abs(mean_error), 5 * step / 2 / 64);
}

}  // namespace
}  // namespace lowbit
