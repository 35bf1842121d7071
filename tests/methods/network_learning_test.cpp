// Methods that learn through the whole network: what they gain, and that they never leave a network worse.
#include <gtest/gtest.h>

#include "tests/methods/method_runner.h"

namespace lowbit {
namespace {

using testing::apply_method;
using testing::GraphBuilder;
using testing::random_tensor;
using testing::squared_error;

/// Two convolutions with a residual sum, a mean and a classifier; weights of 3 bits, activations of 8.
struct SmallClassifier {
  GraphBuilder b;
  Graph float_graph;
  std::vector<Tensor> data;
  ValueId scores;

  explicit SmallClassifier(const std::string& weights = "int3") {
    const std::vector<int64_t> pads = {1, 1, 1, 1};
    const ValueId x = b.input("x", {Dim("N"), 4, 6, 6});
    const ValueId w1 = b.constant("w1", random_tensor({8, 4, 3, 3}, 1)),
                  w2 = b.constant("w2", random_tensor({8, 8, 3, 3}, 2)),
                  w3 = b.constant("w3", random_tensor({8, 6}, 3)), b1 = b.constant("b1", random_tensor({8}, 4));
    const ValueId h1 = b.node("Relu", "r1", {b.node("Conv", "c1", {x, w1, b1}, {{"pads", pads}})});
    const ValueId h2 =
        b.node("Relu", "r2", {b.node("Add", "sum", {b.node("Conv", "c2", {h1, w2}, {{"pads", pads}}), h1})});
    const ValueId mean = b.node("GlobalAveragePool", "mean", {h2});
    scores = b.node("Gemm", "head", {b.node("Flatten", "flat", {mean}), w3});
    b.output(b.node("Softmax", "probabilities", {scores}, {{"axis", int64_t{-1}}}));
    float_graph = b.graph;
    b.annotate_weight(w1, weights, 0);
    b.annotate_weight(w2, weights, 0);
    b.annotate_weight(w3, weights, 1);
    b.annotate(h1, "uint8", 0.03f, 0);
    b.annotate(h2, "uint8", 0.2f, 0);
    for (uint64_t seed = 10; seed < 26; ++seed) data.push_back(testing::correlated_inputs({10, 4, 6, 6}, seed));
  }
  double error_on(const Tensor& x) const {
    return squared_error(testing::float_result(float_graph, x), testing::low_bit_result(b.graph, x));
  }
};

TEST(NetworkLearning, BringsTheOutputsNearerToTheFloatNetworksOnSamplesItHasNotSeen) {
  for (const char* method : {"distil:steps=100", "learned-blocks:steps=100"}) {
    SmallClassifier n;
    const Tensor fresh = testing::correlated_inputs({40, 4, 6, 6}, 99);
    const double before = n.error_on(fresh);
    const std::vector<std::string> notes = apply_method(method, n.b.graph, n.float_graph, n.data);
    EXPECT_LT(n.error_on(fresh), 0.6 * before) << method << ": " << notes.back();
  }
}

TEST(NetworkLearning, LeavesWeightsOnTheirLevels) {
  SmallClassifier n;
  apply_method("distil:steps=20", n.b.graph, n.float_graph, n.data);
  for (const char* name : {"w1", "w2", "w3"}) {
    const Value& w = n.b.graph.value(*n.b.graph.find_value(name));
    EXPECT_TRUE(identical(*w.constant, fake_quantize(*w.quantization, *w.constant))) << name;
  }
}

TEST(NetworkLearning, DoesNotDependOnTheNumberOfThreads) {
  for (const char* method : {"distil:steps=10", "learned-blocks:steps=10"}) {
    SmallClassifier one, three;
    apply_method(method, one.b.graph, one.float_graph, one.data, 1);
    apply_method(method, three.b.graph, three.float_graph, three.data, 3);
    for (const char* name : {"w1", "w2", "w3", "b1"}) {
      const auto constant = [&](const SmallClassifier& n) { return *n.b.graph.constant(*n.b.graph.find_value(name)); };
      EXPECT_TRUE(identical(constant(one), constant(three))) << method << " " << name;
    }
  }
}

TEST(NetworkLearning, KeepsTheStartWhereLearningOnlyDoesHarm) {
  SmallClassifier n;
  const Graph before = n.b.graph;
  apply_method("distil:steps=10:rate=1:scale-rate=1:bias-rate=1", n.b.graph, n.float_graph, n.data);
  for (const char* name : {"w1", "w2", "w3"}) {
    const Value& start = before.value(*before.find_value(name));
    EXPECT_TRUE(identical(*n.b.graph.constant(*n.b.graph.find_value(name)),
                          fake_quantize(*start.quantization, *start.constant)))
        << name;
  }
}

TEST(NetworkLearning, SaysWhyItLearnsNothing) {
  SmallClassifier few;
  few.data.resize(1);
  EXPECT_NE(apply_method("distil", few.b.graph, few.float_graph, few.data).back().find("too few"), std::string::npos);
  SmallClassifier codebook("codebook2");
  EXPECT_NE(apply_method("distil", codebook.b.graph, codebook.float_graph, codebook.data).back().find("no layer"),
            std::string::npos);
  GraphBuilder b;
  const ValueId x = b.input("x", {16, 24}), w = b.constant("w", random_tensor({24, 10}, 2));
  b.output(b.node("Erf", "bend", {b.node("Gemm", "layer", {x, w})}));
  const Graph float_graph = b.graph;
  b.annotate_weight(w, "int3", 1);
  const Tensor before = *b.graph.constant(w);
  EXPECT_NE(
      apply_method("distil", b.graph, float_graph, {random_tensor({16, 24}, 3)}).back().find("no gradient of Erf"),
      std::string::npos);
  EXPECT_TRUE(identical(before, *b.graph.constant(w)));
}

}  // namespace
}  // namespace lowbit
