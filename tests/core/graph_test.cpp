#include "lowbit/core/graph.h"

#include <gtest/gtest.h>

#include "lowbit/core/graph_index.h"

namespace lowbit {
namespace {

Node node(const char* op, std::vector<ValueId> inputs, std::vector<ValueId> outputs) {
  Node made;
  made.op = op;
  made.name = std::string(op) + "_" + std::to_string(outputs[0]);
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  return made;
}

/// x -> Relu -> a -> Neg -> y
Graph chain() {
  Graph graph;
  const ValueId x = graph.add_value("x", DType::float32, Shape{Dim("N"), Dim(3)}), a = graph.add_value("a"),
                y = graph.add_value("y");
  graph.inputs = {x};
  graph.outputs = {y};
  graph.nodes = {node("Relu", {x}, {a}), node("Neg", {a}, {y})};
  return graph;
}

TEST(Graph, SortRestoresOrderAndFindsCycles) {
  Graph graph = chain();
  std::swap(graph.nodes[0], graph.nodes[1]);
  graph.sort();
  EXPECT_EQ(graph.nodes[0].op, "Relu");
  graph.nodes[0].inputs[0] = graph.outputs[0];
  EXPECT_THROW(graph.sort(), Error);
}

TEST(Graph, RemovesWhatNobodyReads) {
  Graph graph = chain();
  const ValueId w = graph.add_constant("w", Tensor(DType::float32, {4}));
  graph.nodes.push_back(node("Abs", {w}, {graph.add_value("unused")}));
  EXPECT_EQ(graph.remove_dead(), 1);
  EXPECT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.constant(w), nullptr);
}

TEST(Graph, AnOutputKeepsItsNameWhenItsMakerChanges) {
  Graph graph = chain();
  const ValueId y = graph.outputs[0], a = *graph.find_value("a");
  graph.replace_uses(y, a);
  EXPECT_EQ(graph.outputs[0], a);
  EXPECT_EQ(graph.value(a).name, "y");
}

TEST(Graph, NamesStayUnique) {
  Graph graph = chain();
  EXPECT_EQ(graph.value(graph.add_value("x")).name, "x_1");
  EXPECT_EQ(graph.value(graph.add_value("x")).name, "x_2");
}

TEST(Graph, DumpIsOneLineANode) {
  EXPECT_EQ(dump(chain()),
            "input %x : float32[Nx3]\n"
            "%a : undefined[?] = Relu(%x)\n"
            "%y : undefined[?] = Neg(%a)\n"
            "output %y\n");
}

TEST(GraphIndex, KnowsTheOnlyReader) {
  Graph graph = chain();
  const GraphIndex index(graph);
  EXPECT_EQ(only_reader(graph, index, *graph.find_value("a")), 1);
  EXPECT_EQ(only_reader(graph, index, graph.outputs[0]), -1);
  EXPECT_EQ(index.producer(graph.inputs[0]), -1);
}

TEST(Attributes, TheWrongTypeNamesNodeAndAttribute) {
  Node conv = node("Conv", {}, {0});
  conv.attributes["group"] = 2.0f;
  try {
    conv.attr_int("group", 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("group"), std::string::npos);
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
  }
  EXPECT_EQ(conv.attr_int("absent", 5), 5);
}

}  // namespace
}  // namespace lowbit
