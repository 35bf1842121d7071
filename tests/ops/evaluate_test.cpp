#include "lowbit/ops/evaluate.h"

#include <gtest/gtest.h>

#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

Tensor floats(std::initializer_list<float> values) {
  return Tensor::from<float>({static_cast<int64_t>(values.size())}, values);
}

/// y = relu(x + 1) * x
GraphBuilder small_graph() {
  GraphBuilder b;
  const ValueId x = b.input("x", {Dim("N")});
  const ValueId one = b.constant("one", Tensor::scalar<float>(1));
  const ValueId sum = b.node("Add", "add", {x, one});
  const ValueId relu = b.node("Relu", "relu", {sum});
  b.output(b.node("Mul", "mul", {relu, x}));
  return b;
}

TEST(Evaluate, RunsNodesInOrder) {
  const GraphBuilder b = small_graph();
  ThreadPool threads(1);
  const NamedTensors y = Evaluator(b.graph, threads).run({{"x", floats({-3, 2})}});
  EXPECT_TRUE(identical(y.at("mul_out"), floats({-0.0f, 6})));
}

TEST(Evaluate, ReportsInputsThenOutputsAndTakesReplacements) {
  const GraphBuilder b = small_graph();
  ThreadPool threads(1);
  std::vector<std::string> seen;
  EvaluateOptions options;
  options.on_value = [&](const Graph& graph, ValueId id, Tensor& tensor) {
    seen.push_back(graph.value(id).name);
    if (seen.back() == "relu_out") tensor = floats({10, 10});
  };
  const auto y = Evaluator(b.graph, threads, options).run_ordered({{"x", floats({-3, 2})}});
  EXPECT_EQ(seen, (std::vector<std::string>{"x", "add_out", "relu_out", "mul_out"}));
  EXPECT_TRUE(identical(y[0], floats({-30, 20})));
}

TEST(Evaluate, AHookMayRunANodeItself) {
  const GraphBuilder b = small_graph();
  ThreadPool threads(1);
  int timed = 0;
  EvaluateOptions options;
  options.run_node = [](const Graph&, const Node& node, const std::vector<const Tensor*>& inputs,
                        std::vector<Tensor>& outputs) {
    if (!node.is("Relu")) return false;
    outputs[0] = *inputs[0];
    return true;
  };
  options.on_time = [&](const Node&, int64_t) { ++timed; };
  const auto y = Evaluator(b.graph, threads, options).run_ordered({{"x", floats({-3, 2})}});
  EXPECT_TRUE(identical(y[0], floats({6, 6})));
  EXPECT_EQ(timed, 3);
}

TEST(Evaluate, FreesAValueAfterItsLastReader) {
  GraphBuilder b;
  ValueId x = b.input("x", {Dim(4)});
  for (int i = 0; i < 3; ++i) x = b.node("Relu", "relu" + std::to_string(i), {x});
  b.output(x);
  ThreadPool threads(1);
  const std::vector<float> zeros(4, 0.0f);
  std::weak_ptr<int> alive;
  std::vector<bool> expired;
  EvaluateOptions options;
  // The first result is replaced by a view whose owner can be watched.
  options.on_value = [&](const Graph& graph, ValueId id, Tensor& tensor) {
    if (graph.value(id).name == "relu0_out") {
      auto owner = std::make_shared<int>(0);
      alive = owner;
      tensor = Tensor::view(DType::float32, {4}, std::as_bytes(std::span(zeros)), std::move(owner));
    }
    expired.push_back(alive.expired());
  };
  Evaluator(b.graph, threads, options).run_ordered({{"x", floats({0, 0, 0, 0})}});
  EXPECT_EQ(expired, (std::vector<bool>{true, false, false, true}));
}

TEST(Evaluate, SaysWhatIsWrongWithAnInput) {
  const GraphBuilder b = small_graph();
  ThreadPool threads(1);
  Evaluator evaluator(b.graph, threads);
  EXPECT_EQ(message_of([&] { evaluator.run({}); }), "input 'x' is not given; expected float32 N");
  EXPECT_EQ(message_of([&] {
              evaluator.run({{"x", Tensor::from<int64_t>({1}, {1})}});
            }),
            "input 'x' was given as int64 1, expected float32 N");
  EXPECT_EQ(message_of([&] {
              evaluator.run({{"x", floats({1})}, {"z", floats({1})}});
            }),
            "the model has no input 'z' (its inputs: x)");
}

TEST(Evaluate, ListsEveryUnsupportedOperatorOnce) {
  GraphBuilder b;
  const ValueId x = b.input("x", {Dim(1)});
  b.node("Magic", "m1", {x});
  b.node("Magic", "m2", {x});
  b.output(b.node("Wonder", "w", {x}));
  ThreadPool threads(1);
  EXPECT_EQ(message_of([&] { Evaluator(b.graph, threads); }),
            "operators that this build cannot run: Magic (2x), Wonder (1x) (see the list in docs/operators.md)");
}

TEST(Evaluate, NamesTheNodeThatFails) {
  GraphBuilder b;
  const ValueId x = b.input("x", std::vector<Dim>(2));
  b.output(b.node("MatMul", "product", {x, x}));
  ThreadPool threads(1);
  EXPECT_EQ(message_of([&] {
              Evaluator(b.graph, threads).run({{"x", Tensor(DType::float32, {2, 3})}});
            }),
            "node 'product' (MatMul): the matrices 2x3 and 2x3 do not fit");
}

/// if (c) y = x + x else y = x, with x captured.
TEST(Evaluate, BranchesSeeCapturedValues) {
  const auto branch = [](const char* op) {
    auto body = std::make_shared<Graph>();
    const ValueId inner = body->add_value("x");
    body->captures = {{1, inner}};
    Node node;
    node.name = "n";
    node.op = op;
    node.inputs.assign(std::string(op) == "Add" ? 2 : 1, inner);
    node.outputs = {body->add_value("y")};
    body->outputs = node.outputs;
    body->nodes.push_back(node);
    return body;
  };
  GraphBuilder b;
  const ValueId c = b.input("c", {}, DType::bool_);
  ASSERT_EQ(b.input("x", {Dim(2)}), 1);
  b.output(b.node("If", "if", {c}, {{"then_branch", branch("Add")}, {"else_branch", branch("Identity")}}));
  ThreadPool threads(1);
  Evaluator evaluator(b.graph, threads);
  const auto run = [&](bool condition) {
    return evaluator.run_ordered({{"c", Tensor::scalar<bool>(condition)}, {"x", floats({1, 2})}})[0];
  };
  EXPECT_TRUE(identical(run(true), floats({2, 4})));
  EXPECT_TRUE(identical(run(false), floats({1, 2})));
}

TEST(Evaluate, RefusesDeepNesting) {
  auto inner = std::make_shared<Graph>();
  for (int i = 0; i < 70; ++i) {
    auto outer = std::make_shared<Graph>();
    const ValueId c = outer->add_constant("c", Tensor::scalar<bool>(true));
    Node node;
    node.name = "if";
    node.op = "If";
    node.inputs = {c};
    node.outputs = {outer->add_value("y")};
    node.attributes = {{"then_branch", inner}, {"else_branch", inner}};
    outer->nodes.push_back(node);
    inner = outer;
  }
  ThreadPool threads(1);
  EXPECT_EQ(message_of([&] { Evaluator(*inner, threads); }), "subgraphs are nested deeper than 64 levels");
}

TEST(Evaluate, ALongChainNeedsNoStack) {
  Graph graph;
  constexpr int kNodes = 100000;
  graph.values.resize(kNodes + 1);
  graph.values[0].name = "x";
  graph.inputs = {0};
  for (int i = 0; i < kNodes; ++i) {
    Node node;
    node.name = "n" + std::to_string(i);
    node.op = "Relu";
    node.inputs = {i};
    node.outputs = {i + 1};
    graph.values[static_cast<size_t>(i) + 1].name = "v" + std::to_string(i);
    graph.nodes.push_back(std::move(node));
  }
  graph.outputs = {kNodes};
  ThreadPool threads(1);
  EXPECT_TRUE(identical(Evaluator(graph, threads).run_ordered({{"x", floats({-1, 2})}})[0], floats({0, 2})));
}

}  // namespace
}  // namespace lowbit
