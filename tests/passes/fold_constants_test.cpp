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

/// An If with a condition that is not known, whose branches add -(captured constant) to a captured input.
Graph graph_with_captured_weight() {
  Graph graph;
  const ValueId x = add_input(graph, {1});
  const ValueId flag = graph.add_value("flag", DType::bool_);
  graph.inputs.push_back(flag);
  const ValueId weight = graph.add_constant("weight", Tensor::from<float>({1}, {3.0f}));
  const auto branch = [&] {
    auto body = std::make_shared<Graph>();
    const ValueId input = body->add_value("input", DType::float32), w = body->add_value("w", DType::float32);
    body->captures = {{x, input}, {weight, w}};
    const ValueId negative = add_node(*body, "Neg", {w});
    body->outputs = {add_node(*body, "Add", {input, negative})};
    return body;
  };
  graph.outputs = {add_node(graph, "If", {flag}, {{"then_branch", branch()}, {"else_branch", branch()}})};
  return graph;
}

TEST(FoldConstants, ComputesInsideASubgraphWhatFollowsFromConstantsAroundIt) {
  Graph graph = graph_with_captured_weight();
  const Graph before = graph;
  EXPECT_EQ(fold_constants(graph), 2);
  for (const char* name : {"then_branch", "else_branch"}) {
    const Graph& body = *graph.nodes[0].attr_graph(name);
    ASSERT_EQ(body.nodes.size(), 1u);
    EXPECT_TRUE(body.nodes[0].is("Add"));
    EXPECT_EQ(body.constant(body.nodes[0].inputs[1])->data<float>()[0], -3.0f);
    ASSERT_EQ(body.captures.size(), 1u);  // nobody reads the weight itself any more
    EXPECT_EQ(body.captures[0].first, graph.inputs[0]);
    EXPECT_EQ(before.nodes[0].attr_graph(name)->nodes.size(), 2u);  // the copy keeps its own
  }
  EXPECT_FALSE(graph.find_value("weight") && graph.constant(*graph.find_value("weight")));
}

TEST(FoldConstants, LeavesResultsOfSubgraphsAndAnnotatedConstantsAroundThemAlone) {
  Graph graph = graph_with_captured_weight();
  graph.value(*graph.find_value("weight")).quantization.emplace();
  EXPECT_EQ(fold_constants(graph), 0);

  Graph results;
  add_input(results, {1});
  const ValueId flag = results.add_value("flag", DType::bool_);
  results.inputs.push_back(flag);
  const auto branch = [] {
    auto body = std::make_shared<Graph>();
    body->outputs = {add_node(*body, "Neg", {body->add_constant("number", Tensor::from<float>({1}, {2.0f}))})};
    return body;
  };
  results.outputs = {add_node(results, "If", {flag}, {{"then_branch", branch()}, {"else_branch", branch()}})};
  EXPECT_EQ(fold_constants(results), 0);
}

TEST(PassTable, FindsEveryPassByItsName) {
  for (const Pass* pass : pass_table()) EXPECT_EQ(find_pass(pass->name), pass);
  EXPECT_EQ(find_pass("no_such_pass"), nullptr);
}

}  // namespace
}  // namespace lowbit
