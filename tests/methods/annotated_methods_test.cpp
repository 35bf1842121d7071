// Small methods that work on the annotated network, each on a case where it gains.
#include <gtest/gtest.h>

#include "lowbit/methods/annotate.h"
#include "tests/methods/method_runner.h"

namespace lowbit {
namespace {

using testing::apply_method;
using testing::correlated_inputs;
using testing::GraphBuilder;
using testing::random_tensor;
using testing::squared_error;

/// A Gemm with int3 weights.
struct OneLayer {
  GraphBuilder b;
  Graph float_graph;
  std::vector<Tensor> data = {correlated_inputs({64, 24}, 1)};
  OneLayer() {
    const ValueId x = b.input("x", {64, 24}), w = b.constant("w", random_tensor({24, 10}, 2));
    b.output(b.node("Gemm", "layer", {x, w}));
    float_graph = b.graph;
    b.annotate_weight(w, "int3", 1);
  }
  double error() const {
    return squared_error(testing::float_result(float_graph, data[0]), testing::low_bit_result(b.graph, data[0]));
  }
};

TEST(Diffuse, KeepsTheSumOfErrorsOfEachRowBelowOneStep) {
  OneLayer n;
  n.data = {random_tensor({64, 24}, 1, 4, 6)};  // inputs with a mean: errors of one sign add up, carried ones do not
  const double before = n.error();
  apply_method("diffuse", n.b.graph, n.float_graph, n.data);
  EXPECT_LT(n.error(), 0.5 * before);
  const Quantization& q = *n.b.graph.value(n.b.graph.nodes[0].inputs[1]).quantization;
  const Tensor& rounded = *n.b.graph.constant(n.b.graph.nodes[0].inputs[1]);
  const Tensor& weight = *n.float_graph.constant(n.float_graph.nodes[0].inputs[1]);
  EXPECT_TRUE(identical(rounded, fake_quantize(q, rounded)));
  for (int64_t o = 0; o < 10; ++o) {
    double sum = 0;
    for (int64_t i = 0; i < 24; ++i)
      sum += static_cast<double>(weight.data<float>()[i * 10 + o]) -
             static_cast<double>(rounded.data<float>()[i * 10 + o]);
    EXPECT_LT(std::abs(sum), static_cast<double>(q.linear_at(o).scale)) << o;
  }
}

TEST(BnReestimate, BringsBackTheVarianceThatCoarseWeightsLost) {
  OneLayer n;
  Quantization& q = *n.b.graph.value(n.b.graph.nodes[0].inputs[1]).quantization;
  for (size_t g = 0; g < q.params.size(); g += 2) q.params[g] *= 0.6f;  // clips: results shrink
  const auto variance = [&](const Tensor& y, int64_t o) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < 64; ++i) {
      const auto v = static_cast<double>(y.data<float>()[i * 10 + o]);
      sum += v;
      squares += v * v;
    }
    return squares / 64 - sum / 64 * (sum / 64);
  };
  const Tensor wanted = testing::float_result(n.float_graph, n.data[0]);
  const double before = n.error();
  apply_method("bn-reestimate", n.b.graph, n.float_graph, n.data);
  const Tensor made = testing::low_bit_result(n.b.graph, n.data[0]);
  EXPECT_LT(n.error(), 0.5 * before);
  for (int64_t o = 0; o < 10; ++o) EXPECT_NEAR(variance(made, o) / variance(wanted, o), 1, 0.02) << o;
}

TEST(Recalibrate, FindsTheRangeThatTheLowBitNetworkReallyHas) {
  GraphBuilder b;
  const ValueId x = b.input("x", {64, 24}), w1 = b.constant("w1", random_tensor({24, 10}, 2)),
                w2 = b.constant("w2", random_tensor({10, 4}, 3));
  const ValueId hidden = b.node("Relu", "relu", {b.node("Gemm", "first", {x, w1})});
  b.output(b.node("Gemm", "second", {hidden, w2}));
  const Graph float_graph = b.graph;
  const Tensor data = correlated_inputs({64, 24}, 1);
  b.annotate(hidden, "uint8", 0.001f, 0);  // clips nearly everything
  Recipe recipe;
  recipe.range = "minmax";
  ThreadPool threads(1);
  const Placement placement = place(float_graph, recipe, true);
  const MethodCall call = parse_method("recalibrate");
  const MethodContext context{.recipe = recipe,
                              .threads = threads,
                              .float_graph = &float_graph,
                              .batches = testing::batches_of(float_graph, {data}),
                              .progress = {},
                              .placement = &placement,
                              .set = {}};
  const Tensor wanted = testing::float_result(float_graph, data);
  const double before = squared_error(wanted, testing::low_bit_result(b.graph, data));
  call.method->apply(b.graph, context);
  EXPECT_LT(squared_error(wanted, testing::low_bit_result(b.graph, data)), 1e-3 * before);
}

}  // namespace
}  // namespace lowbit
