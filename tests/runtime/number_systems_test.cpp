// Layers with weights and activations of every number system, against the plain float operator on decoded values.
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/runtime/executor.h"
#include "lowbit/runtime/integer_weights.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

Graph decoded_graph(Graph graph) {
  for (Value& value : graph.values) {
    if (value.constant && value.quantization) value.constant = fake_quantize(*value.quantization, *value.constant);
    value.quantization.reset();
  }
  return graph;
}

struct Ran {
  Tensor y;
  StepInfo step;
};
Ran run(const Graph& graph, const Tensor& x) {
  ThreadPool threads(1);
  Executor executor(graph, threads);
  return {executor.run_ordered({{"x", x}})[0], executor.steps()[0]};
}

struct Layer {
  GraphBuilder b;
  ValueId x, w;
};

/// x [2, 12] (annotated uint8 if a scale is given) times w [12, 5].
Layer gemm_layer(const std::string& weights, const std::string& granularity, float input_scale) {
  Layer layer;
  layer.x = layer.b.input("x", {2, 12});
  layer.w = layer.b.constant("w", random_tensor({12, 5}, 4));
  Quantization q;
  q.format = parse_number_format(weights);
  q.granularity = parse_granularity(granularity);
  if (q.granularity.kind != Granularity::Kind::tensor) q.granularity.axis = 1;
  const Tensor& w = *layer.b.graph.constant(layer.w);
  q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
  layer.b.graph.value(layer.w).quantization = q;
  if (input_scale > 0) layer.b.annotate(layer.x, "uint8", input_scale, 100);
  layer.b.output(layer.b.node("MatMul", "layer", {layer.x, layer.w}));
  return layer;
}

void expect_near(const Tensor& found, const Tensor& wanted, double relative) {
  ASSERT_EQ(found.dims(), wanted.dims());
  double largest = 0;
  for (float v : wanted.values<float>()) largest = std::max(largest, std::abs(static_cast<double>(v)));
  for (int64_t i = 0; i < found.count(); ++i)
    EXPECT_NEAR(found.data<float>()[i], wanted.data<float>()[i], relative * largest) << i;
}

TEST(NumberSystems, EveryOneRunsAsWeightsBehindIntegerAndFloatInputs) {
  for (const NumberSystem* system : number_systems())
    for (int bits = system->min_bits; bits <= system->max_bits; ++bits)
      for (const std::string& tail : {std::string(), std::to_string(bits), "-" + std::to_string(bits)}) {
        const auto format = system->parse(tail);
        if (!format || format->bits != bits) continue;
        for (const char* granularity : {"tensor", "channel", "group:5", "block:2x4"})
          for (float input_scale : {0.0f, 0.01f}) {
            const std::string name = std::string(system->name) + tail;
            SCOPED_TRACE(name + " " + granularity + (input_scale > 0 ? " integer" : " float"));
            const Layer layer = gemm_layer(name, granularity, input_scale);
            Tensor x = random_tensor({2, 12}, 9);
            const Ran ran = run(layer.b.graph, x);
            if (input_scale > 0) x = fake_quantize(*layer.b.graph.value(layer.x).quantization, x);
            // Sums of 12 products of float32: 12 * 2^-24, and the rounding of the scales.
            expect_near(ran.y, run(decoded_graph(layer.b.graph), x).y, 2e-6);
          }
      }
}

TEST(NumberSystems, VectorCodebooksRunInFloat) {
  for (const char* name : {"vq-2x16", "vq-4x8"})
    for (float input_scale : {0.0f, 0.01f}) {
      const Layer layer = gemm_layer(name, "tensor", input_scale);
      Tensor x = random_tensor({2, 12}, 9);
      const Ran ran = run(layer.b.graph, x);
      if (input_scale > 0) x = fake_quantize(*layer.b.graph.value(layer.x).quantization, x);
      expect_near(ran.y, run(decoded_graph(layer.b.graph), x).y, 2e-6);
    }
}

TEST(NumberSystems, PowersOfTwoNeedNoMultiplication) {
  for (const char* name : {"ternary", "binary", "log2", "log3", "log4", "log5", "pot2-4", "fp4-e2m1"}) {
    const Ran ran = run(gemm_layer(name, "channel", 0.01f).b.graph, random_tensor({2, 12}, 9));
    EXPECT_TRUE(ran.step.integer) << name;
    EXPECT_NE(ran.step.note.find("no multiplications"), std::string::npos) << name << ": " << ran.step.note;
  }
  for (const char* name : {"int4", "fp6-e3m2"}) {
    const Ran ran = run(gemm_layer(name, "channel", 0.01f).b.graph, random_tensor({2, 12}, 9));
    EXPECT_TRUE(ran.step.integer) << name;
    EXPECT_EQ(ran.step.note, "") << name;
  }
  for (const char* name : {"nf4", "codebook3", "fp8-e4m3", "float16", "std-int4", "log8"})
    EXPECT_FALSE(run(gemm_layer(name, "channel", 0.01f).b.graph, random_tensor({2, 12}, 9)).step.integer) << name;
}

TEST(NumberSystems, ConvolutionsShiftToo) {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 4, 5, 6}), w = b.constant("w", random_tensor({6, 2, 3, 3}, 4));
  b.annotate_weight(w, "ternary", 0);
  b.annotate(x, "uint8", 0.01f, 100);
  b.output(b.node("Conv", "layer", {x, w, b.constant("b", random_tensor({6}, 5))},
                  {{"group", int64_t{2}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}}));
  const Tensor input = random_tensor({1, 4, 5, 6}, 9);
  const Ran ran = run(b.graph, input);
  EXPECT_NE(ran.step.note.find("no multiplications"), std::string::npos);
  // The bias is rounded to the grid of the products, half a step of scale * scale.
  expect_near(ran.y, run(decoded_graph(b.graph), fake_quantize(*b.graph.value(x).quantization, input)).y, 1e-3);
}

TEST(NumberSystems, ShiftsGiveTheProducts) {
  const std::vector<int16_t> w = {0, 1, -1, 64, -16384, 96, -5, 0, 3, 2, -2, 8};
  const std::vector<int16_t> x = {-255, 255, 7, 32767};
  const ShiftRows rows = shift_rows(w.data(), 3, 4);
  std::vector<int64_t> acc(3);
  accumulate_shifts(rows, 0, 3, x.data(), acc.data());
  for (int c = 0; c < 3; ++c) {
    int64_t sum = 0;
    for (int k = 0; k < 4; ++k) sum += int64_t{x[static_cast<size_t>(k)]} * w[static_cast<size_t>(c * 4 + k)];
    EXPECT_EQ(acc[static_cast<size_t>(c)], sum);
  }
}

TEST(NumberSystems, StaticActivationsOfAnySystemAreDecodedExactly) {
  for (const char* name : {"log4", "fp8-e4m3", "fp8-e5m2", "int4", "uint4", "int16", "float16", "mulaw8", "nf4"}) {
    Layer layer = gemm_layer("int8", "channel", 0);
    Quantization q;
    q.format = parse_number_format(name);
    q.params.resize(static_cast<size_t>(q.format.system->param_count(q.format)));
    FitOptions options;
    options.rule = FitRule::range;
    options.low = -1;
    options.high = 1;
    q.format.system->fit(q.format, {}, {}, options, q.params.data());
    layer.b.graph.value(layer.x).quantization = q;
    const Tensor x = random_tensor({2, 12}, 9);
    expect_near(run(layer.b.graph, x).y, run(decoded_graph(layer.b.graph), fake_quantize(q, x)).y, 2e-6);
  }
}

/// The definition of docs/integer-semantics.md for one row of an input.
void naive_dynamic(const std::vector<float>& x, bool asymmetric, float& scale, std::vector<int32_t>& centred) {
  float low = 0, high = 0;
  for (float v : x) low = std::min(low, v), high = std::max(high, v);
  int32_t zero = 0;
  if (asymmetric) {
    scale = high > low ? (high - low) / 255 : 1;
    zero = static_cast<int32_t>(std::nearbyint(-low / scale));
  } else {
    scale = std::max(-low, high) > 0 ? std::max(-low, high) / 127 : 1;
  }
  for (float v : x) {
    const auto code = static_cast<int32_t>(std::nearbyint(v / scale)) + zero;
    centred.push_back(std::clamp(code, asymmetric ? 0 : -127, asymmetric ? 255 : 127) - zero);
  }
}

TEST(NumberSystems, DynamicInputsFollowTheDefinitionBitForBit) {
  for (const char* weights : {"int8", "int4", "uint8", "ternary"})
    for (const char* system : {"uint8", "int8"})
      for (bool by_row : {false, true}) {
        Layer layer = gemm_layer(weights, "channel", 0);
        Quantization q;
        q.format = parse_number_format(system);
        q.dynamic = true;
        if (by_row) q.granularity.kind = Granularity::Kind::channel;
        layer.b.graph.value(layer.x).quantization = q;
        Tensor x = random_tensor({2, 12}, 9, -3, 1);
        for (int i = 0; i < 12; ++i) x.mutable_data<float>()[i] *= 0.1f;  // rows of different range
        const Ran ran = run(layer.b.graph, x);
        EXPECT_TRUE(ran.step.integer) << ran.step.kernel;
        const Value& w = layer.b.graph.value(layer.w);
        const auto integers = integer_weights(w);
        std::vector<float> scales;
        std::vector<int32_t> codes;
        for (int64_t r = 0; r < (by_row ? 2 : 1); ++r) {
          const float* from = x.data<float>() + r * 12;
          scales.push_back(0);
          naive_dynamic({from, from + (by_row ? 12 : 24)}, std::string(system) == "uint8", scales.back(), codes);
        }
        for (size_t r = 0; r < 2; ++r)
          for (size_t c = 0; c < 5; ++c) {
            int64_t acc = 0;
            for (size_t k = 0; k < 12; ++k) acc += int64_t{codes[r * 12 + k]} * integers->values[k * 5 + c];
            const float factor = scales[by_row ? r : 0] * integers->scales[c];
            EXPECT_EQ(ran.y.data<float>()[r * 5 + c], static_cast<float>(acc) * factor)
                << weights << " " << system << " " << by_row;
          }
      }
}

TEST(NumberSystems, AnInputOfZerosAndNanHasAScale) {
  Layer layer = gemm_layer("int8", "channel", 0);
  Quantization q;
  q.format = parse_number_format("uint8");
  q.dynamic = true;
  layer.b.graph.value(layer.x).quantization = q;
  const Tensor zeros(DType::float32, {2, 12});
  const Ran ran = run(layer.b.graph, zeros);
  for (float v : ran.y.values<float>()) EXPECT_EQ(v, 0);
  Tensor nan = zeros;
  nan.mutable_data<float>()[3] = NAN;
  const Ran with_nan = run(layer.b.graph, nan);
  for (float v : with_nan.y.values<float>()) EXPECT_EQ(v, 0);
}

}  // namespace
}  // namespace lowbit
