// The fast versions against the references, and both on one and three threads.
#include "lowbit/ops/accelerated.h"

#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "lowbit/ops/channels_last.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/op.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::random_tensor;

struct Case {
  const char* op;
  std::vector<Dims> inputs;
  Attributes attributes;
  int64_t terms;  ///< products or summands per output element
};

using Ints = std::vector<int64_t>;

std::vector<Case> cases() {
  return {
      {"Conv", {{2, 3, 9, 8}, {4, 3, 3, 3}, {4}}, {{"pads", Ints{1, 0, 2, 1}}}, 27},
      {"Conv", {{1, 8, 7, 7}, {16, 8, 1, 1}}, {}, 8},
      {"Conv", {{4, 8, 5, 5}, {16, 8, 1, 1}}, {}, 8},
      {"Conv", {{1, 8, 9, 9}, {8, 1, 3, 3}}, {{"group", int64_t{8}}, {"strides", Ints{2, 2}}}, 9},
      {"Conv", {{1, 6, 9, 9}, {4, 3, 3, 3}}, {{"group", int64_t{2}}, {"dilations", Ints{2, 3}}}, 27},
      {"Conv", {{1, 3, 10}, {5, 3, 4}}, {{"auto_pad", std::string("SAME_LOWER")}}, 12},
      {"Conv", {{1, 2, 5, 6, 7}, {3, 2, 2, 3, 1}}, {}, 12},
      {"MatMul", {{300, 33}, {33, 70}}, {}, 33},
      {"MatMul", {{2, 1, 5, 6}, {3, 6, 4}}, {}, 6},
      {"MatMul", {{7}, {7, 600}}, {}, 7},
      {"MatMul", {{4, 3, 7}, {7, 2}}, {}, 7},
      {"Gemm", {{5, 7}, {7, 9}, {9}}, {{"alpha", 0.5f}, {"beta", 2.0f}}, 8},
      {"Gemm", {{7, 200}, {600, 7}, {200, 1}}, {{"transA", int64_t{1}}, {"transB", int64_t{1}}}, 8},
      {"MaxPool",
       {{1, 2, 8, 9}},
       {{"kernel_shape", Ints{3, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 0, 1, 1}}},
       1},
      {"AveragePool",
       {{1, 2, 8, 9}},
       {{"kernel_shape", Ints{3, 3}}, {"ceil_mode", int64_t{1}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
       9},
  };
}

std::vector<Tensor> run(const Case& c, ThreadPool& threads, bool accelerated) {
  Node node;
  node.name = "n";
  node.op = c.op;
  node.attributes = c.attributes;
  node.outputs = {0};
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < c.inputs.size(); ++i) inputs.push_back(random_tensor(c.inputs[i], i + 1));
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) pointers.push_back(&input);
  return evaluate_node(node, pointers, threads, accelerated);
}

TEST(Accelerated, AgreesWithTheReferenceWithinTheRoundingOfItsSums) {
  ThreadPool threads(1);
  for (const Case& c : cases()) {
    const Tensor fast = run(c, threads, true)[0], plain = run(c, threads, false)[0];
    ASSERT_EQ(fast.dims(), plain.dims()) << c.op;
    // |values| <= 1 (alpha, beta <= 2): each of `terms` roundings errs by at most 2^-24 of a partial sum <= 2 terms.
    const double bound = 2.0 * static_cast<double>(c.terms * c.terms) * 0x1p-24;
    for (int64_t i = 0; i < fast.count(); ++i)
      ASSERT_NEAR(fast.data<float>()[i], plain.data<float>()[i], bound) << c.op << " element " << i;
  }
}

TEST(Accelerated, CoversEveryCaseOfThisFile) {
  ThreadPool threads(1);
  for (const Case& c : cases()) {
    Node node;
    node.op = c.op;
    node.attributes = c.attributes;
    node.outputs = {0};
    std::vector<Tensor> inputs;
    std::vector<const Tensor*> pointers;
    for (const Dims& dims : c.inputs) inputs.push_back(random_tensor(dims, 1));
    for (const Tensor& input : inputs) pointers.push_back(&input);
    FastContext context(node, pointers, threads);
    const AcceleratedRow* fast = find_accelerated(*find_op(node));
    ASSERT_NE(fast, nullptr) << c.op;
    EXPECT_TRUE(fast->run(context)) << c.op;
  }
}

TEST(Accelerated, DoesNotDependOnTheNumberOfThreads) {
  ThreadPool one(1), three(3);
  for (const Case& c : cases())
    for (bool accelerated : {false, true})
      EXPECT_TRUE(identical(run(c, one, accelerated)[0], run(c, three, accelerated)[0])) << c.op;
}

/// Layers, pools, sums, a product per channel and an operator that needs the order of ONNX.
testing::GraphBuilder picture_network() {
  testing::GraphBuilder b;
  const ValueId x = b.input("x", {Dim(2), Dim(3), Dim(13), Dim(11)});
  const auto weight = [&](const char* name, Dims dims, uint64_t seed) {
    return b.graph.add_constant(name, random_tensor(dims, seed));
  };
  const Attributes padded{{"pads", Ints{1, 1, 1, 1}}};
  const ValueId stem = b.node("Conv", "stem", {x, weight("w0", {16, 3, 3, 3}, 2), weight("b0", {16}, 3)}, padded);
  const ValueId relu = b.node("Relu", "relu", {stem});
  const ValueId pooled = b.node("MaxPool", "pool", {relu}, {{"kernel_shape", Ints{3, 2}}, {"strides", Ints{2, 2}}});
  const ValueId left = b.node("Conv", "left", {pooled, weight("w1", {16, 16, 1, 1}, 4)});
  const ValueId right = b.node("Conv", "right", {pooled, weight("w2", {16, 1, 3, 3}, 5)},
                               {{"pads", Ints{1, 1, 1, 1}}, {"group", int64_t{16}}});
  const ValueId sum = b.node("Relu", "sum_relu", {b.node("Add", "sum", {left, right})});
  const ValueId scaled = b.node("Mul", "scaled", {sum, weight("scale", {16, 1, 1}, 6)});
  const ValueId mean =
      b.node("AveragePool", "mean", {scaled}, {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{0, 1, 0, 0}}});
  const ValueId soft = b.node("Softmax", "soft", {mean}, {{"axis", int64_t{1}}});
  b.output(b.node("GlobalAveragePool", "global", {sum}));
  b.output(soft);
  b.output(sum);
  return b;
}

TEST(Accelerated, KeepingValuesChannelsLastChangesNoResult) {
  const testing::GraphBuilder b = picture_network();
  ThreadPool threads(2);
  EvaluateOptions plain;
  plain.accelerated = false;
  const NamedTensors inputs{{"x", random_tensor({2, 3, 13, 11}, 9)}};
  const auto wanted = Evaluator(b.graph, threads, plain).run_ordered(inputs);
  const auto found = Evaluator(b.graph, threads).run_ordered(inputs);
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(found[i].dims(), wanted[i].dims());
    // At most 27 + 16 products of values below 27 follow one another.
    for (int64_t k = 0; k < wanted[i].count(); ++k)
      ASSERT_NEAR(found[i].data<float>()[k], wanted[i].data<float>()[k], 1e-3) << i << ' ' << k;
  }
}

TEST(Accelerated, AnObserverSeesTheValuesItAskedForWhateverTheirOrder) {
  const testing::GraphBuilder b = picture_network();
  ThreadPool threads(2);
  const NamedTensors inputs{{"x", random_tensor({2, 3, 13, 11}, 9)}};
  std::map<std::string, Tensor> wanted;
  EvaluateOptions plain;
  plain.on_value = [&](const Graph& graph, ValueId id, Tensor& tensor) { wanted[graph.value(id).name] = tensor; };
  Evaluator(b.graph, threads, plain).run_ordered(inputs);
  std::set<std::string> seen;
  bool any_last = false;
  EvaluateOptions watching;
  watching.observed = [](const Graph& graph, ValueId id) { return graph.value(id).name != "stem_out"; };
  watching.on_observed = [&](const Graph& graph, ValueId id, const Tensor& tensor, bool channels_last) {
    const Tensor& other = wanted.at(graph.value(id).name);
    const Tensor same = channels_last ? to_channels_first(tensor, threads) : tensor;
    ASSERT_EQ(same.dims(), other.dims());
    for (int64_t k = 0; k < same.count(); ++k) ASSERT_NEAR(same.data<float>()[k], other.data<float>()[k], 1e-3);
    seen.insert(graph.value(id).name);
    any_last = any_last || channels_last;
  };
  Evaluator(b.graph, threads, watching).run_ordered(inputs);
  EXPECT_TRUE(any_last);
  wanted.erase("stem_out");
  for (const auto& [name, tensor] : wanted) EXPECT_TRUE(seen.contains(name)) << name;
  EXPECT_EQ(seen.size(), wanted.size());
}

}  // namespace
}  // namespace lowbit
