#include <gtest/gtest.h>

#include "tests/methods/method_runner.h"

namespace lowbit {
namespace {

using testing::apply_method;
using testing::correlated_inputs;
using testing::GraphBuilder;
using testing::random_tensor;

/// Mean over everything but `axis` of a - b, largest over the channels.
double largest_mean_difference(const Tensor& a, const Tensor& b, int64_t axis) {
  const int64_t channels = a.dim(axis);
  int64_t inner = 1;
  for (int64_t d = axis + 1; d < a.rank(); ++d) inner *= a.dim(d);
  std::vector<double> sums(static_cast<size_t>(channels), 0.0);
  for (int64_t i = 0; i < a.count(); ++i)
    sums[static_cast<size_t>(i / inner % channels)] +=
        static_cast<double>(a.data<float>()[i]) - static_cast<double>(b.data<float>()[i]);
  double largest = 0;
  for (double s : sums)
    largest = std::max(largest, std::abs(s) * static_cast<double>(channels) / static_cast<double>(a.count()));
  return largest;
}

struct Case {
  const char* op;
  Dims weight, input;
  Attributes attributes;
  int64_t axis;
};

/// One layer with 3-bit weights and 4-bit inputs; the mean error of its result before and after.
std::pair<double, double> mean_error(const Case& c) {
  GraphBuilder b;
  Shape shape(c.input.begin(), c.input.end());
  const ValueId x = b.input("x", shape), w = b.constant("w", random_tensor(c.weight, 3));
  ValueId y = b.node(c.op, "layer", {x, w}, c.attributes);
  if (std::string(c.op) == "MatMul") y = b.node("Add", "sum", {y, b.constant("b", random_tensor({c.weight[1]}, 5))});
  b.output(y);
  const Graph float_graph = b.graph;
  b.annotate(x, "uint4", 0.2f, 0);
  b.annotate_weight(w, "int3", 0);
  const std::vector<Tensor> data = {correlated_inputs(c.input, 1), correlated_inputs(c.input, 2)};
  const auto error = [&] {
    double most = 0;
    Tensor wanted = testing::float_result(float_graph, data[0]), made = testing::low_bit_result(b.graph, data[0]);
    for (size_t i = 1; i < data.size(); ++i) {  // the mean over both batches: they are of one size
      const Tensor f = testing::float_result(float_graph, data[i]), q = testing::low_bit_result(b.graph, data[i]);
      for (int64_t k = 0; k < f.count(); ++k) {
        wanted.mutable_data<float>()[k] = (wanted.data<float>()[k] + f.data<float>()[k]) / 2;
        made.mutable_data<float>()[k] = (made.data<float>()[k] + q.data<float>()[k]) / 2;
      }
    }
    most = largest_mean_difference(wanted, made, c.axis);
    return most;
  };
  const double before = error();
  apply_method("bias-correct", b.graph, float_graph, data);
  return {before, error()};
}

TEST(BiasCorrect, BringsBackTheMeanOfEveryChannelInEveryKindOfLayer) {
  const std::vector<int64_t> pads = {1, 1, 1, 1};
  const Case cases[] = {
      {"Conv", {4, 3, 3, 3}, {8, 3, 5, 5}, {{"pads", pads}}, 1},
      {"Conv", {6, 1, 3, 3}, {8, 6, 5, 5}, {{"pads", pads}, {"group", int64_t{6}}}, 1},
      {"Conv", {4, 3, 3}, {8, 6, 9}, {{"group", int64_t{2}}, {"pads", std::vector<int64_t>{2, 0}}}, 1},
      {"ConvTranspose", {3, 4, 3, 3}, {8, 3, 4, 4}, {{"strides", std::vector<int64_t>{2, 2}}}, 1},
      {"Gemm", {5, 12}, {16, 12}, {{"transB", int64_t{1}}}, 1},
      {"MatMul", {12, 5}, {16, 12}, {}, 1},
  };
  for (const Case& c : cases) {
    const auto [before, after] = mean_error(c);
    EXPECT_GT(before, 0.01) << c.op;  // the damage is there, borders and rounded inputs included
    EXPECT_LT(after, 1e-5) << c.op;
  }
}

TEST(BiasCorrect, ALaterLayerSeesTheErrorsOfTheEarlierOnes) {
  GraphBuilder b;
  const ValueId x = b.input("x", {16, 8}), w1 = b.constant("w1", random_tensor({8, 8}, 3)),
                w2 = b.constant("w2", random_tensor({8, 4}, 4));
  const ValueId hidden = b.node("Relu", "relu", {b.node("Gemm", "first", {x, w1})});
  b.output(b.node("Gemm", "second", {hidden, w2}));
  const Graph float_graph = b.graph;
  b.annotate_weight(w1, "int2", 1);
  b.annotate_weight(w2, "int8", 1);
  b.annotate(hidden, "uint8", 0.01f, 0);  // clips at 2.55
  const Tensor data = correlated_inputs({16, 8}, 1);
  const Tensor wanted = testing::float_result(float_graph, data);
  EXPECT_GT(largest_mean_difference(wanted, testing::low_bit_result(b.graph, data), 1), 0.05);
  apply_method("bias-correct", b.graph, float_graph, {data});
  EXPECT_LT(largest_mean_difference(wanted, testing::low_bit_result(b.graph, data), 1), 1e-5);
}

TEST(BiasCorrect, ASharedBiasIsNotChangedForItsOtherReader) {
  GraphBuilder b;
  const ValueId x = b.input("x", {16, 8}), w = b.constant("w", random_tensor({8, 4}, 3)),
                v = b.constant("v", random_tensor({8, 4}, 4)), bias = b.constant("b", random_tensor({4}, 5));
  b.output(b.node("Gemm", "low", {x, w, bias}));
  b.output(b.node("Gemm", "plain", {x, v, bias}));
  const Graph float_graph = b.graph;
  const Tensor before = *b.graph.constant(bias);
  b.annotate_weight(w, "int2", 1);
  apply_method("bias-correct", b.graph, float_graph, {correlated_inputs({16, 8}, 1)});
  EXPECT_NE(b.graph.nodes[0].inputs[2], b.graph.nodes[1].inputs[2]);
  EXPECT_TRUE(identical(*b.graph.constant(b.graph.nodes[1].inputs[2]), before));
}

}  // namespace
}  // namespace lowbit
