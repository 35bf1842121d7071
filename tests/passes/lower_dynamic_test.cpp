// Layers with inputs quantized at inference as ONNX operators: the references of those operators give the same bits.
#include <gtest/gtest.h>

#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/passes/lower_qdq.h"
#include "lowbit/passes/raise_weights.h"
#include "tests/passes/same_results.h"

namespace lowbit {
namespace {

using testing::count_op;
using testing::GraphBuilder;
using testing::outputs_of;
using testing::random_tensor;

Quantization dynamic(const char* system, bool by_row) {
  Quantization q;
  q.format = parse_number_format(system);
  q.dynamic = true;
  if (by_row) q.granularity.kind = Granularity::Kind::channel;
  return q;
}

Graph layer(const char* op, const char* weights, const char* input, bool by_row) {
  GraphBuilder b;
  const bool conv = std::string(op) == "Conv", gemm = std::string(op) == "Gemm";
  const ValueId x = conv ? b.input("x", {1, 2, 5, 5}) : b.input("x", {3, 8});
  const ValueId w = b.constant("w", random_tensor(conv ? Dims{4, 2, 3, 3} : gemm ? Dims{6, 8} : Dims{8, 6}, 2));
  b.annotate_weight(w, weights, conv || gemm ? 0 : 1);
  b.graph.value(x).quantization = dynamic(input, by_row);
  std::vector<ValueId> inputs = {x, w};
  Attributes attributes;
  if (gemm) attributes["transB"] = int64_t{1};
  if (conv) attributes["pads"] = std::vector<int64_t>{1, 1, 1, 1};
  if (conv || gemm) inputs.push_back(b.constant("bias", random_tensor({conv ? 4 : 6}, 3)));
  b.output(b.node("Relu", "relu", {b.node(op, "layer", inputs, attributes)}));
  infer_shapes(b.graph);
  return b.graph;
}

/// y of the definition, by plain loops on the graph's own terms: input fake-quantized, weights decoded, float layer.
std::vector<Tensor> simulated(const Graph& graph) {
  LowerOptions options;
  options.simulate = true;
  return outputs_of(lower_qdq(graph, options), 5);
}

TEST(LowerDynamic, IntegerOperatorsComputeTheLayer) {
  for (const char* op : {"MatMul", "Gemm", "Conv"})
    for (const char* weights : {"int8", "int4", "uint8", "int3", "ternary"})
      for (const char* input : {"uint8", "int8"})
        for (bool by_row : {false, true}) {
          SCOPED_TRACE(std::string(op) + " " + weights + " " + input + (by_row ? " by row" : ""));
          const Graph graph = layer(op, weights, input, by_row);
          const Graph lowered = lower_qdq(graph);
          const bool conv = std::string(op) == "Conv";
          const bool integers =
              std::string(weights) != "ternary" && !(conv && (by_row || std::string(weights) == "uint8"));
          EXPECT_EQ(count_op(lowered, conv ? "ConvInteger" : "MatMulInteger"), integers ? 1 : 0);
          EXPECT_EQ(lowered.outputs.size(), 1u);
          const Tensor found = outputs_of(lowered, 5)[0], wanted = simulated(graph)[0];
          ASSERT_EQ(found.dims(), wanted.dims());
          for (int64_t i = 0; i < found.count(); ++i)
            EXPECT_NEAR(found.data<float>()[i], wanted.data<float>()[i], 1e-5) << i;
        }
}

TEST(LowerDynamic, IsReadBackAsALayerWithADynamicInput) {
  for (const char* op : {"MatMul", "Conv"}) {
    Graph graph = layer(op, "int8", "uint8", false);
    Model lowered;
    lowered.graph = lower_qdq(graph);
    raise_model(lowered);
    EXPECT_EQ(count_op(lowered.graph, op), 1);
    EXPECT_EQ(count_op(lowered.graph, "DynamicQuantizeLinear"), 0);
    bool annotated = false;
    for (const Node& node : lowered.graph.nodes)
      if (node.is(op)) {
        const auto& q = lowered.graph.value(node.inputs[0]).quantization;
        annotated = q && q->dynamic && lowered.graph.value(node.inputs[1]).quantization;
      }
    EXPECT_TRUE(annotated) << dump(lowered.graph);
  }
}

TEST(LowerDynamic, SharesTheCodesBetweenLayersAndLeavesOtherReadersFloat) {
  GraphBuilder b;
  const ValueId x = b.input("x", {3, 8});
  std::vector<ValueId> parts;
  for (const char* name : {"a", "c"}) {
    const ValueId w = b.constant(std::string(name) + "_w", random_tensor({8, 8}, 2));
    b.annotate_weight(w, "int8", 1);
    parts.push_back(b.node("MatMul", name, {x, w}));
  }
  b.graph.value(x).quantization = dynamic("uint8", false);
  b.output(b.node("Add", "sum", {b.node("Add", "both", parts), x}));
  infer_shapes(b.graph);
  const Graph lowered = lower_qdq(b.graph);
  EXPECT_EQ(count_op(lowered, "DynamicQuantizeLinear"), 1);
  EXPECT_EQ(count_op(lowered, "MatMulInteger"), 2);
  for (const Node& node : lowered.nodes)
    if (node.name == "sum") {
      EXPECT_EQ(lowered.value(node.inputs[1]).name, "x");
    }
}

}  // namespace
}  // namespace lowbit
