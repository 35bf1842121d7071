// The fast versions against the references, and both on one and three threads.
#include "lowbit/ops/accelerated.h"

#include <cmath>

#include <gtest/gtest.h>

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
    EvalContext context(node, pointers, threads);
    const AcceleratedFn fast = find_accelerated(*find_op(node));
    ASSERT_NE(fast, nullptr) << c.op;
    EXPECT_TRUE(fast(context)) << c.op;
  }
}

TEST(Accelerated, DoesNotDependOnTheNumberOfThreads) {
  ThreadPool one(1), three(3);
  for (const Case& c : cases())
    for (bool accelerated : {false, true})
      EXPECT_TRUE(identical(run(c, one, accelerated)[0], run(c, three, accelerated)[0])) << c.op;
}

}  // namespace
}  // namespace lowbit
