// Hand-computed cases of convolution, pooling, normalization, quantization and the com.microsoft operators, and what
// their inference knows with a symbolic batch.
#include <cmath>

#include <gtest/gtest.h>

#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/ops/op.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using Ints = std::vector<int64_t>;

std::vector<Tensor> run(const std::string& op, const std::vector<Tensor>& inputs, Attributes attributes = {},
                        const std::string& domain = "") {
  Node node;
  node.name = "n";
  node.domain = domain;
  node.op = op;
  node.attributes = std::move(attributes);
  node.outputs = {0};
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) pointers.push_back(input.defined() ? &input : nullptr);
  ThreadPool threads(1);
  return evaluate_node(node, pointers, threads);
}

std::vector<float> values(const Tensor& tensor) {
  const Tensor real = to_float32(tensor);
  return {real.values<float>().begin(), real.values<float>().end()};
}

TEST(NetworkOps, ConvolutionSumsTheWindow) {
  const Tensor x = Tensor::from<float>({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor w = Tensor::from<float>({1, 1, 2, 2}, {1, 0, 0, 1}), bias = Tensor::from<float>({1}, {10});
  EXPECT_EQ(values(run("Conv", {x, w, bias})[0]), (std::vector<float>{16, 18}));
}

TEST(NetworkOps, ConvolutionRefusesHostileAttributes) {
  const Tensor x(DType::float32, {1, 1, 4, 4}), w(DType::float32, {1, 1, 2, 2});
  for (const Attributes& bad :
       {Attributes{{"strides", Ints{0, 1}}}, Attributes{{"dilations", Ints{1, -1}}}, Attributes{{"group", int64_t{0}}},
        Attributes{{"pads", Ints{-9, 0, 0, 0}}}, Attributes{{"strides", Ints{1}}},
        Attributes{{"dilations", Ints{int64_t{1} << 40, 1}}}, Attributes{{"kernel_shape", Ints{3, 3}}},
        Attributes{{"auto_pad", std::string("MAYBE")}}})
    EXPECT_THROW(run("Conv", {x, w}, bad), Error);
  EXPECT_THROW(run("Conv", {x, w, Tensor(DType::int32, {1})}), Error);
}

TEST(NetworkOps, PoolsLeaveOutThePadding) {
  const Tensor x = Tensor::from<float>({1, 1, 3}, {-1, -2, -3});
  const Attributes attributes{{"kernel_shape", Ints{2}}, {"pads", Ints{1, 0}}, {"strides", Ints{2}}};
  EXPECT_EQ(values(run("MaxPool", {x}, attributes)[0]), (std::vector<float>{-1, -2}));
  EXPECT_EQ(values(run("AveragePool", {x}, attributes)[0]), (std::vector<float>{-1, -2.5f}));
}

TEST(NetworkOps, QuantizeRoundsHalfToEvenAndSaturates) {
  const Tensor x = Tensor::from<float>({6}, {0.5f, 1.5f, 2.5f, -0.5f, 1000, -1000});
  const Tensor scale = Tensor::scalar<float>(1), zero = Tensor::scalar<uint8_t>(10);
  EXPECT_EQ(values(run("QuantizeLinear", {x, scale, zero})[0]), (std::vector<float>{10, 12, 12, 10, 255, 0}));
}

TEST(NetworkOps, DequantizeTakesBlocks) {
  const Tensor codes = Tensor::from<int8_t>({1, 4}, {1, 2, 3, 4}), scale = Tensor::from<float>({1, 2}, {10, 100});
  EXPECT_EQ(values(run("DequantizeLinear", {codes, scale}, {{"block_size", int64_t{2}}})[0]),
            (std::vector<float>{10, 20, 300, 400}));
}

TEST(NetworkOps, QLinearAddAddsRealValues) {
  const Tensor a = Tensor::from<uint8_t>({2}, {10, 20}), b = Tensor::from<uint8_t>({1}, {5});
  const Tensor sa = Tensor::scalar<float>(1), sb = Tensor::scalar<float>(2), zero = Tensor::scalar<uint8_t>(0);
  // 10 + 10 = 20 and 20 + 10 = 30, at scale 0.5 with zero point 1.
  EXPECT_EQ(
      values(run("QLinearAdd", {a, sa, zero, b, sb, zero, Tensor::scalar<float>(0.5f), Tensor::scalar<uint8_t>(1)}, {},
                 "com.microsoft")[0]),
      (std::vector<float>{41, 61}));
}

TEST(NetworkOps, MatMulNBitsUnpacksFromTheLowestBits) {
  // One row of 16 codes of 4 bits: the first is 9 (+1 after the zero point 8), all others 8 (0).
  std::vector<uint8_t> packed(8, 0x88);
  packed[0] = 0x89;
  const Tensor a = Tensor::from<float>({1, 16}, std::vector<float>(16, 3.0f));
  EXPECT_EQ(values(run("MatMulNBits", {a, Tensor::from<uint8_t>({1, 1, 8}, packed), Tensor::from<float>({1}, {0.5f})},
                       {{"K", int64_t{16}}, {"N", int64_t{1}}, {"bits", int64_t{4}}, {"block_size", int64_t{16}}},
                       "com.microsoft")[0]),
            (std::vector<float>{1.5f}));
}

TEST(NetworkOps, InferenceKeepsTheSymbolicBatch) {
  GraphBuilder b;
  const ValueId x = b.input("x", {Dim("N"), Dim(3), Dim(8), Dim(8)});
  const ValueId w = b.constant("w", Tensor(DType::float32, {4, 3, 3, 3}));
  const ValueId conv = b.node("Conv", "conv", {x, w}, {{"strides", Ints{2, 2}}});
  const ValueId pool = b.node("GlobalAveragePool", "pool", {conv});
  b.output(pool);
  infer_shapes(b.graph);
  EXPECT_EQ(shape_text(*b.graph.value(conv).shape), "Nx4x3x3");
  EXPECT_EQ(shape_text(*b.graph.value(pool).shape), "Nx4x1x1");
  bind_symbols(b.graph, {{"N", 7}}, 0);
  EXPECT_EQ(shape_text(*b.graph.value(pool).shape), "7x4x1x1");
}

TEST(NetworkOps, InferenceNamesAContradiction) {
  GraphBuilder b;
  const ValueId x = b.input("x", {Dim(2), Dim(3)});
  const ValueId y = b.node("Relu", "relu", {x});
  b.graph.value(y).shape = Shape{Dim(2), Dim(4)};
  b.output(y);
  try {
    infer_shapes(b.graph);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_STREQ(error.what(), "node 'relu' (Relu): 'relu_out' is declared with shape 2x4, but the operator gives 2x3");
  }
}

TEST(NetworkOps, CountsMultiplyAdds) {
  Graph graph;
  Node conv;
  conv.op = "Conv";
  const Dims x{1, 4, 8, 8}, w{8, 2, 3, 3}, y{1, 8, 6, 6};
  EXPECT_EQ(multiply_adds(graph, conv, {&x, &w}, {&y}), 8 * 36 * 2 * 9);
  Node gemm;
  gemm.op = "Gemm";
  const Dims a{5, 7}, c{5, 9};
  EXPECT_EQ(multiply_adds(graph, gemm, {&a, nullptr}, {&c}), 5 * 9 * 7);
}

}  // namespace
}  // namespace lowbit
