// Gradients of operators against central differences of the reference.
#include "lowbit/ops/gradient.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/ops/evaluate.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::random_tensor;

struct GradientCase {
  std::string op;
  std::vector<Tensor> inputs;
  size_t learned = 1;  ///< how many of the inputs have a gradient
  Attributes attributes = {};
};

const std::vector<int64_t> kPads = {1, 0, 1, 1}, kStrides = {2, 1}, kWindow = {3, 2}, kDilations = {2, 1};

std::vector<GradientCase> gradient_cases() {
  const Tensor picture = random_tensor({2, 4, 7, 6}, 1);
  const auto ints = [](std::vector<int64_t> values) {
    return Tensor::from<int64_t>({static_cast<int64_t>(values.size())}, values);
  };
  return {
      {"Conv", {picture, random_tensor({6, 4, 3, 2}, 2)}, 2, {{"pads", kPads}, {"strides", kStrides}}},
      {"Conv", {picture, random_tensor({6, 4, 3, 2}, 2), random_tensor({6}, 3)}, 2, {{"dilations", kDilations}}},
      {"Conv", {picture, random_tensor({8, 2, 3, 2}, 2)}, 2, {{"group", int64_t{2}}, {"pads", kPads}}},
      {"Conv", {picture, random_tensor({4, 1, 3, 2}, 2)}, 2, {{"group", int64_t{4}}}},
      {"Conv", {random_tensor({2, 3, 9}, 4), random_tensor({5, 3, 3}, 5)}, 2},
      {"Gemm", {random_tensor({5, 4}, 6), random_tensor({4, 3}, 7), random_tensor({3}, 8)}, 2},
      {"Gemm", {random_tensor({5, 4}, 6), random_tensor({3, 4}, 7)}, 2, {{"transB", int64_t{1}}}},
      {"MatMul", {random_tensor({2, 5, 4}, 6), random_tensor({4, 3}, 7)}, 2},
      {"Add", {picture, random_tensor({4, 1, 6}, 8)}, 2},
      {"Add", {random_tensor({4}, 8), random_tensor({3, 4}, 9)}, 2},
      {"Relu", {picture}},
      {"LeakyRelu", {picture}, 1, {{"alpha", 0.2f}}},
      {"Clip", {picture, Tensor::scalar(-0.5f), Tensor::scalar(0.4f)}},
      {"Clip", {picture, Tensor::scalar(0.1f)}},
      {"Sigmoid", {picture}},
      {"Tanh", {picture}},
      {"MaxPool", {picture}, 1, {{"kernel_shape", kWindow}, {"strides", kStrides}, {"pads", kPads}}},
      {"AveragePool", {picture}, 1, {{"kernel_shape", kWindow}, {"pads", kPads}}},
      {"AveragePool", {picture}, 1, {{"kernel_shape", kWindow}, {"pads", kPads}, {"count_include_pad", int64_t{1}}}},
      {"GlobalAveragePool", {picture}},
      {"ReduceMean", {picture, ints({2, -1})}, 1, {{"keepdims", int64_t{0}}}},
      {"ReduceMean", {picture, ints({1})}},
      {"Reshape", {picture, ints({2, -1})}},
      {"Flatten", {picture}},
      {"Squeeze", {random_tensor({2, 1, 3}, 1), ints({1})}},
      {"Unsqueeze", {picture, ints({0})}},
      {"Identity", {picture}},
      {"Transpose", {picture}, 1, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}},
      {"Pad", {picture, ints({0, 0, 1, 2, 0, 0, 0, 1})}},
      {"Pad", {picture, ints({0, 0, 1, 2, 0, 0, 0, 1}), Tensor::scalar(3.0f)}},
      {"Slice", {picture, ints({1}), ints({6}), ints({2}), ints({2})}},
      {"Concat", {picture, random_tensor({2, 1, 7, 6}, 9)}, 2, {{"axis", int64_t{1}}}},
  };
}

Node node_of(const GradientCase& c) {
  Node node;
  node.op = node.name = c.op;
  node.attributes = c.attributes;
  for (size_t i = 0; i < c.inputs.size(); ++i) node.inputs.push_back(static_cast<ValueId>(i));
  node.outputs = {static_cast<ValueId>(c.inputs.size())};
  return node;
}

Tensor result(const Node& node, const std::vector<Tensor>& inputs) {
  ThreadPool threads(1);
  std::vector<const Tensor*> given;
  for (const Tensor& x : inputs) given.push_back(&x);
  return evaluate_node(node, given, threads)[0];
}

double product(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.count(); ++i)
    sum += static_cast<double>(a.data<float>()[i]) * static_cast<double>(b.data<float>()[i]);
  return sum;
}

TEST(Gradient, IsTheSlopeOfTheReference) {
  for (const GradientCase& c : gradient_cases()) {
    const Node node = node_of(c);
    ASSERT_TRUE(has_gradient(node)) << c.op;
    const Tensor y = result(node, c.inputs), direction = random_tensor(y.dims(), 20);
    std::vector<const Tensor*> given;
    std::vector<char> wanted;
    for (const Tensor& x : c.inputs) given.push_back(&x);
    for (size_t i = 0; i < c.inputs.size(); ++i) wanted.push_back(i < c.learned);
    const std::vector<Tensor> made = gradients({node, given, y, direction, wanted});
    for (size_t i = 0; i < c.learned; ++i) {
      ASSERT_TRUE(made[i].defined()) << c.op << " " << i;
      ASSERT_EQ(made[i].dims(), c.inputs[i].dims()) << c.op << " " << i;
      for (int64_t e = 0; e < c.inputs[i].count(); e += 5) {
        // Kinks are met by chance only; a step of 2^-7 loses 2^-24 |L| 2^7 of the difference to rounding.
        const double step = 0x1p-7;
        std::vector<Tensor> up = c.inputs, down = c.inputs;
        up[i].mutable_data<float>()[e] += static_cast<float>(step);
        down[i].mutable_data<float>()[e] -= static_cast<float>(step);
        const Tensor high = result(node, up), low = result(node, down);
        const double slope = (product(high, direction) - product(low, direction)) / (2 * step);
        const double here = (product(y, direction) - product(low, direction)) / step;
        if (std::abs(slope - here) > 1e-2) continue;  // a kink lies between
        EXPECT_NEAR(static_cast<double>(made[i].data<float>()[e]), slope, 4e-3)
            << c.op << " input " << i << " at " << e;
      }
    }
    for (size_t i = c.learned; i < made.size(); ++i) EXPECT_FALSE(made[i].defined());
  }
}

TEST(Gradient, IsOnlyMadeWhereItIsWanted) {
  const GradientCase c = gradient_cases()[0];
  const Node node = node_of(c);
  const Tensor y = result(node, c.inputs);
  const std::vector<Tensor> made = gradients({node, {&c.inputs[0], &c.inputs[1]}, y, y, {0, 1}});
  EXPECT_FALSE(made[0].defined());
  EXPECT_TRUE(made[1].defined());
}

TEST(Gradient, SaysWhatHasNone) {
  GradientCase c{"Erf", {random_tensor({3}, 1)}};
  const Node node = node_of(c);
  EXPECT_FALSE(has_gradient(node));
  EXPECT_THROW(gradients({node, {&c.inputs[0]}, c.inputs[0], c.inputs[0], {1}}), Error);
}

}  // namespace
}  // namespace lowbit
