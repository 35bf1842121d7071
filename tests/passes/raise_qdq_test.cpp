#include "lowbit/passes/raise_qdq.h"
#include "lowbit/core/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "lowbit/formats/format.h"
#include "lowbit/formats/npy.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/passes/lower_qdq.h"

namespace lowbit {
namespace {

Node make_node(const char* op, const char* name, std::vector<ValueId> inputs, ValueId output) {
  Node node;
  node.op = op;
  node.name = name;
  node.inputs = std::move(inputs);
  node.outputs = {output};
  return node;
}

/// x -> Q -> DQ -> Relu -> y
Graph quantized_relu() {
  Graph graph;
  const ValueId x = graph.add_value("x", DType::float32, Shape{Dim(4)});
  const ValueId scale = graph.add_constant("scale", Tensor::scalar(0.5f));
  const ValueId zero = graph.add_constant("zero", Tensor::scalar(uint8_t{3}));
  const ValueId q = graph.add_value("q"), d = graph.add_value("d"), y = graph.add_value("y");
  graph.inputs = {x};
  graph.outputs = {y};
  graph.nodes = {make_node("QuantizeLinear", "q", {x, scale, zero}, q),
                 make_node("DequantizeLinear", "d", {q, scale, zero}, d), make_node("Relu", "r", {d}, y)};
  return graph;
}

TEST(RaiseQdq, PutsAnActivationPairOnItsValue) {
  Graph graph = quantized_relu();
  EXPECT_EQ(raise_qdq(graph), 2);
  ASSERT_EQ(graph.nodes.size(), 1u);
  const auto& annotation = graph.value(graph.inputs[0]).quantization;
  ASSERT_TRUE(annotation);
  EXPECT_EQ(annotation->params, (std::vector<float>{0.5f, 3.0f}));
  EXPECT_EQ(to_string(annotation->format), "uint8");
}

TEST(RaiseQdq, LeavesOtherReadersUnquantized) {
  Graph graph = quantized_relu();
  const ValueId z = graph.add_value("z");
  graph.nodes.push_back(make_node("Neg", "n", {graph.inputs[0]}, z));
  graph.outputs.push_back(z);
  raise_qdq(graph);
  EXPECT_FALSE(graph.value(graph.inputs[0]).quantization);
  const auto copy =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& n) { return n.is("Identity"); });
  ASSERT_NE(copy, graph.nodes.end());
  EXPECT_TRUE(graph.value(copy->output()).quantization);
}

TEST(RaiseQdq, KeepsALoneQuantizeLinear) {
  Graph graph = quantized_relu();
  graph.outputs = {graph.nodes[0].outputs[0]};
  raise_qdq(graph);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_TRUE(graph.nodes[0].is("QuantizeLinear"));
}

TEST(RaiseQdq, DecodesChannelWeightsAndBiases) {
  Graph graph;
  const ValueId codes = graph.add_constant("codes", Tensor::from<int8_t>({2, 2}, {1, -2, 3, 4}));
  const ValueId scale = graph.add_constant("scale", Tensor::from<float>({2}, {0.5f, 2}));
  const ValueId bias = graph.add_constant("bias", Tensor::from<int32_t>({2}, {1000, -7}));
  const ValueId w = graph.add_value("w"), b = graph.add_value("b"), y = graph.add_value("y");
  graph.nodes = {make_node("DequantizeLinear", "dw", {codes, scale}, w),
                 make_node("DequantizeLinear", "db", {bias, scale}, b), make_node("Add", "a", {w, b}, y)};
  graph.nodes[0].attributes["axis"] = int64_t{0};
  graph.nodes[1].attributes["axis"] = int64_t{0};
  graph.outputs = {y};
  EXPECT_EQ(raise_qdq(graph), 2);
  EXPECT_TRUE(identical(*graph.constant(w), Tensor::from<int8_t>({2, 2}, {1, -2, 3, 4})));
  EXPECT_TRUE(identical(weight_values(graph.value(w)), Tensor::from<float>({2, 2}, {0.5f, -1, 6, 8})));
  EXPECT_TRUE(identical(*graph.constant(b), Tensor::from<float>({2}, {500, -14})));
  ASSERT_TRUE(graph.value(w).quantization);
  EXPECT_EQ(graph.value(w).quantization->granularity, (Granularity{Granularity::Kind::channel, 0, 1, 0}));
  EXPECT_TRUE(graph.value(w).quantization->format.narrow);
  EXPECT_FALSE(graph.value(b).quantization);
}

TEST(RaiseQdq, ReadsBlocksAlongEitherAxis) {
  for (int64_t axis : {0, 1}) {
    Graph graph;
    const ValueId codes = graph.add_constant("codes", Tensor::from<int8_t>({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}));
    const Dims dims = axis == 0 ? Dims{1, 4} : Dims{2, 2};
    const ValueId scale = graph.add_constant("scale", Tensor::from<float>(dims, {1, 10, 100, 1000}));
    const ValueId w = graph.add_value("w");
    graph.nodes = {make_node("DequantizeLinear", "d", {codes, scale}, w)};
    graph.nodes[0].attributes = {{"axis", axis}, {"block_size", int64_t{2}}};
    graph.outputs = {w};
    raise_qdq(graph);
    ASSERT_TRUE(graph.constant(w));
    EXPECT_TRUE(identical(weight_values(graph.value(w)),
                          axis == 0 ? Tensor::from<float>({2, 4}, {1, 20, 300, 4000, 5, 60, 700, 8000})
                                    : Tensor::from<float>({2, 4}, {1, 2, 30, 40, 500, 600, 7000, 8000})));
  }
}

/// Codes that an encode would not give again: several codes stand for values that float32 cannot tell apart, or the
/// file uses a code outside the narrow range.
TEST(RaiseQdq, KeepsTheCodesOfTheFile) {
  Graph graph;
  const Tensor stored = Tensor::from<uint8_t>({4}, {0, 1, 254, 255});
  const ValueId codes = graph.add_constant("codes", stored);
  const ValueId scale = graph.add_constant("scale", Tensor::scalar(1e-45f));  // the products are denormal
  const ValueId zero = graph.add_constant("zero", Tensor::scalar(uint8_t{255}));
  const ValueId w = graph.add_value("w");
  graph.nodes = {make_node("DequantizeLinear", "d", {codes, scale, zero}, w)};
  graph.outputs = {w};
  raise_qdq(graph);
  EXPECT_TRUE(identical(weight_codes(graph.value(w)), stored));
  EXPECT_EQ(graph.value(w).dtype, DType::float32);
  const Graph lowered = lower_qdq(graph);
  EXPECT_TRUE(identical(*lowered.constant(lowered.nodes[0].inputs[0]), stored));
}

/// Evaluates the annotated graph: every annotated value is quantized and decoded as it is made.
Tensor fake_quantized_run(Graph graph, const Tensor& x) {
  for (Value& value : graph.values)
    if (is_annotated_constant(value)) value.constant = weight_values(value);
  ThreadPool threads(1);
  EvaluateOptions options;
  options.on_value = [](const Graph& g, ValueId id, Tensor& tensor) {
    const auto& q = g.value(id).quantization;
    if (!q) return;
    Quantization used = *q;
    if (used.dynamic) {
      const auto values = tensor.values<float>();
      const auto [low, high] = std::minmax_element(values.begin(), values.end());
      const LinearParams params = linear_params(used.format, *low, *high);
      used = linear_quantization(used.format, params, "");
    }
    tensor = fake_quantize(used, tensor);
  };
  return Evaluator(graph, threads, options).run_ordered({{graph.value(graph.inputs[0]).name, x}})[0];
}

std::vector<std::string> runtime_cases() {
  std::vector<std::string> cases;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(LOWBIT_SOURCE_DIR "/build/ort_models", none)) {
    const std::string path = entry.path();
    if (path.ends_with(".onnx") && std::filesystem::exists(path.substr(0, path.size() - 5) + ".y.npy"))
      cases.push_back(path.substr(0, path.size() - 5));
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}

void expect_same_as_runtime(const std::string& stem) {
  Model model = load_model(stem + ".onnx");
  EXPECT_GT(raise_qdq(model.graph), 0);
  infer_shapes(model.graph);
  for (const Node& node : model.graph.nodes)
    EXPECT_TRUE(node.op.find("Linear") == std::string::npos && node.op.find("Integer") == std::string::npos)
        << node.name << " " << node.op;
  const Tensor y = fake_quantized_run(model.graph, load_npy(stem + ".x.npy"));
  const Tensor expected = load_npy(stem + ".y.npy");
  ASSERT_EQ(y.count(), expected.count());
  float largest = 0, difference = 0;
  for (int64_t i = 0; i < y.count(); ++i) {
    largest = std::max(largest, std::abs(expected.data<float>()[i]));
    difference = std::max(difference, std::abs(expected.data<float>()[i] - y.data<float>()[i]));
  }
  // A value that lies on the border of two codes may round either way, which moves the outputs by a few of 256 steps.
  EXPECT_LE(difference, 4.0f / 256 * largest);
}

/// The models are made by tools/make_ort_models.py (the test peers.make_ort_models); without them this checks nothing.
TEST(RaisedRuntimeModels, ComputeWhatOnnxRuntimeComputes) {
  const std::vector<std::string> cases = runtime_cases();
  RecordProperty("cases", static_cast<int>(cases.size()));
  for (const std::string& stem : cases) {
    SCOPED_TRACE(stem);
    ASSERT_NO_FATAL_FAILURE(expect_same_as_runtime(stem));
  }
}

}  // namespace
}  // namespace lowbit
