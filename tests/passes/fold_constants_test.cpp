#include "lowbit/passes/fold_constants.h"

#include <gtest/gtest.h>

#include "lowbit/passes/pass.h"

namespace lowbit {
namespace {

ValueId add_node(Graph& graph, const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
  Node node;
  node.op = op;
  node.name = graph.fresh_node_name(op);
  node.inputs = std::move(inputs);
  node.outputs = {graph.add_value(op + "_out", DType::float32)};
  node.attributes = std::move(attributes);
  graph.nodes.push_back(node);
  return node.outputs[0];
}

ValueId add_input(Graph& graph, Shape shape) {
  const ValueId id = graph.add_value("x", DType::float32, std::move(shape));
  graph.inputs.push_back(id);
  return id;
}

TEST(FoldConstants, FoldsAChainInOneWalk) {
  Graph graph;
  const ValueId x = add_input(graph, {2});
  const ValueId two = add_node(graph, "Constant", {}, {{"value_float", 2.0f}});
  const ValueId four = add_node(graph, "Mul", {two, two});
  graph.outputs = {add_node(graph, "Add", {x, four})};
  EXPECT_EQ(fold_constants(graph), 2);
  ASSERT_EQ(graph.nodes.size(), 1u);
  ASSERT_NE(graph.constant(four), nullptr);
  EXPECT_EQ(graph.constant(four)->data<float>()[0], 4.0f);
}

TEST(FoldConstants, FoldsShapeOfKnownDimensionsOnly) {
  Graph graph;
  const ValueId known = add_input(graph, {2, 3}), open = add_input(graph, {Dim("N"), 3});
  const ValueId a = add_node(graph, "Shape", {known}), b = add_node(graph, "Shape", {open}),
                c = add_node(graph, "Size", {known});
  const ValueId tail = add_node(graph, "Shape", {known}, {{"start", int64_t{-1}}});
  graph.outputs = {a, b, c, tail};
  EXPECT_EQ(fold_constants(graph), 3);
  EXPECT_EQ(to_int64(*graph.constant(a)), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(graph.constant(b), nullptr);
  EXPECT_EQ(to_int64(*graph.constant(c)), (std::vector<int64_t>{6}));
  EXPECT_EQ(to_int64(*graph.constant(tail)), (std::vector<int64_t>{3}));
}

TEST(FoldConstants, LeavesWhatIsRandomTooLargeOrBroken) {
  Graph graph;
  const ValueId drawn = add_node(graph, "RandomNormal", {}, {{"shape", std::vector<int64_t>{2}}});
  const ValueId dims = graph.add_constant("dims", Tensor::from<int64_t>({2}, {4096, 4096}));
  const ValueId large = add_node(graph, "ConstantOfShape", {dims});
  const ValueId zero = graph.add_constant("zero", Tensor::scalar<int64_t>(0));
  const ValueId broken = add_node(graph, "Div", {zero, zero});
  graph.outputs = {drawn, large, broken};
  EXPECT_EQ(fold_constants(graph, /*budget_bytes=*/1 << 20), 0);
  EXPECT_EQ(graph.nodes.size(), 3u);
}

TEST(FoldConstants, KeepsAnAnnotatedConstantAndItsReader) {
  Graph graph;
  const ValueId weight = graph.add_constant("w", Tensor::from<float>({1}, {1.0f}));
  graph.value(weight).quantization.emplace();
  graph.outputs = {add_node(graph, "Relu", {weight})};
  EXPECT_EQ(fold_constants(graph), 0);
}

/// An If whose branches add 1 or 2 to a captured value.
Graph graph_with_if(bool condition) {
  const auto branch = [](float number) {
    auto body = std::make_shared<Graph>();
    const ValueId captured = body->add_value("captured", DType::float32);
    const ValueId constant = body->add_constant("number", Tensor::scalar<float>(number));
    body->outputs = {add_node(*body, "Add", {captured, constant})};
    body->captures = {{0, captured}};
    return body;
  };
  Graph graph;
  add_input(graph, {1});
  const ValueId flag = graph.add_constant("flag", Tensor::scalar<bool>(condition));
  graph.outputs = {add_node(graph, "If", {flag}, {{"then_branch", branch(1)}, {"else_branch", branch(2)}})};
  return graph;
}

TEST(FoldConstants, InlinesTheBranchThatAConstantConditionTakes) {
  for (bool condition : {true, false}) {
    Graph graph = graph_with_if(condition);
    const ValueId output = graph.outputs[0];
    EXPECT_EQ(fold_constants(graph), 1);
    ASSERT_EQ(graph.nodes.size(), 2u);
    EXPECT_TRUE(graph.nodes[0].is("Add"));
    EXPECT_EQ(graph.nodes[0].inputs[0], graph.inputs[0]);
    EXPECT_EQ(graph.constant(graph.nodes[0].inputs[1])->data<float>()[0], condition ? 1.0f : 2.0f);
    EXPECT_TRUE(graph.nodes[1].is("Identity"));
    EXPECT_EQ(graph.nodes[1].outputs[0], output);
    EXPECT_EQ(graph.outputs[0], output);
  }
}

TEST(PassTable, FindsEveryPassByItsName) {
  for (const Pass* pass : pass_table()) EXPECT_EQ(find_pass(pass->name), pass);
  EXPECT_EQ(find_pass("no_such_pass"), nullptr);
}

}  // namespace
}  // namespace lowbit
