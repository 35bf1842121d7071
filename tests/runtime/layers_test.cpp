// Integer layers against plain loops over the definition in docs/integer-semantics.md.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>

#include "lowbit/ops/convolution.h"
#include "lowbit/runtime/executor.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

struct ConvCase {
  Dims x, w;
  int64_t groups;
  std::vector<int64_t> strides, pads, dilations;
  std::string activations = "uint8", weights = "int8";
  bool relu = false;
};

int32_t code_of(float x, LinearParams p, CodeRange r) {
  const float q = std::nearbyint(x / p.scale) + static_cast<float>(p.zero_point);
  return static_cast<int32_t>(std::min(std::max(q, static_cast<float>(r.min)), static_cast<float>(r.max)));
}

/// clamp(rne(fl32(acc) * m) + z) in float32.
int32_t requantized(int64_t acc, float m, LinearParams out, CodeRange r, int32_t low) {
  const double q = static_cast<double>(std::nearbyintf(static_cast<float>(acc) * m)) + out.zero_point;
  const auto lowest = static_cast<double>(std::max(r.min, low));
  return static_cast<int32_t>(std::min<double>(std::max(q, lowest), r.max));
}

struct BuiltConv {
  Graph graph;
  ValueId x, w, b, y;
};

BuiltConv build(const ConvCase& c) {
  GraphBuilder g;
  const CodeRange range = parse_number_format(c.activations).system->codes(parse_number_format(c.activations));
  const bool is_signed = range.min < 0;
  const ValueId x = g.input("x", to_shape(c.x));
  const ValueId w = g.constant("w", random_tensor(c.w, 2));
  const ValueId b = g.constant("b", random_tensor({c.w[0]}, 3));
  ValueId y = g.node("Conv", "conv", {x, w, b},
                     {{"group", c.groups}, {"strides", c.strides}, {"pads", c.pads}, {"dilations", c.dilations}});
  if (c.relu) y = g.node("Relu", "relu", {y});
  g.output(y);
  const float step = 2.0f / static_cast<float>(range.count());
  g.annotate(x, c.activations, step, is_signed ? 0 : static_cast<int32_t>(range.count() / 2 + 3));
  g.annotate(y, c.activations, step * 5, is_signed || c.relu ? 0 : static_cast<int32_t>(range.count() / 2 - 7));
  g.annotate_weight(w, c.weights, 0);
  return {g.graph, x, w, b, y};
}

/// Codes of the result by plain loops.
std::vector<int32_t> definition(const BuiltConv& c, const ConvCase& spec, const Tensor& input) {
  const Quantization &qx = *c.graph.value(c.x).quantization, &qw = *c.graph.value(c.w).quantization,
                     &qy = *c.graph.value(c.y).quantization;
  const Tensor &w = *c.graph.constant(c.w), &b = *c.graph.constant(c.b);
  const LinearParams px = qx.linear_at(0), py = qy.linear_at(0);
  const ConvGeometry g = conv_geometry(c.graph.nodes[0], spec.x, spec.w);
  const Tensor wq = encode_tensor(qw, w);
  const auto& [d, h, v] = g.axes;
  std::vector<int32_t> result;
  for (int64_t n = 0; n < g.batch; ++n)
    for (int64_t o = 0; o < g.groups * g.out_channels; ++o)
      for (int64_t oh = 0; oh < h.out; ++oh)
        for (int64_t ow = 0; ow < v.out; ++ow) {
          const double sw = qw.linear_at(o).scale, sx = px.scale;
          int64_t acc = static_cast<int64_t>(std::nearbyint(static_cast<double>(b.data<float>()[o]) / (sx * sw)));
          for (int64_t i = 0; i < g.in_channels; ++i)
            for (int64_t kh = 0; kh < h.kernel; ++kh)
              for (int64_t kw = 0; kw < v.kernel; ++kw) {
                const int64_t zh = oh * h.stride - h.pad_begin + kh * h.dilation,
                              zw = ow * v.stride - v.pad_begin + kw * v.dilation;
                if (zh < 0 || zh >= h.in || zw < 0 || zw >= v.in) continue;
                const int64_t channel = o / g.out_channels * g.in_channels + i;
                const float xv =
                    input.data<float>()[((n * g.groups * g.in_channels + channel) * h.in + zh) * v.in + zw];
                acc += static_cast<int64_t>(code_of(xv, px, qx.codes()) - px.zero_point) *
                       wq.data<int32_t>()[((o * g.in_channels + i) * h.kernel + kh) * v.kernel + kw];
              }
          result.push_back(requantized(acc, px.scale * qw.linear_at(o).scale / py.scale, py, qy.codes(),
                                       spec.relu ? py.zero_point : INT32_MIN));
        }
  return result;
}

std::vector<int32_t> executed(const BuiltConv& c, const Tensor& input, int threads) {
  ThreadPool pool(threads);
  std::vector<int32_t> codes;
  ExecutorOptions options;
  options.on_value = [&](ValueId id, const Tensor& tensor, bool is_codes) {
    if (id == c.y && is_codes) codes.assign(tensor.values<int32_t>().begin(), tensor.values<int32_t>().end());
  };
  Executor executor(c.graph, pool, options);
  EXPECT_TRUE(executor.steps()[0].integer) << executor.steps()[0].kernel;
  executor.run({{"x", input}});
  return codes;
}

const std::vector<ConvCase> kCases = {
    {{2, 3, 9, 11}, {8, 3, 3, 3}, 1, {1, 1}, {1, 1, 1, 1}, {1, 1}},
    {{1, 4, 8, 8}, {4, 1, 3, 3}, 4, {2, 2}, {0, 0, 1, 1}, {1, 1}},
    {{1, 6, 7, 5}, {12, 2, 1, 3}, 3, {1, 2}, {0, 2, 0, 1}, {1, 2}},
    {{1, 3, 12, 12}, {5, 3, 5, 5}, 1, {3, 3}, {2, 2, 2, 2}, {2, 2}, "int8"},
    {{1, 16, 6, 6}, {33, 16, 1, 1}, 1, {1, 1}, {0, 0, 0, 0}, {1, 1}, "uint8", "int8", true},
    {{1, 8, 6, 6}, {8, 1, 3, 3}, 8, {1, 1}, {1, 1, 1, 1}, {1, 1}, "int16", "int8"},
    {{1, 40, 5, 5}, {9, 40, 3, 3}, 1, {1, 1}, {1, 1, 1, 1}, {1, 1}, "int16", "int8"},
    {{1, 8, 6, 6}, {16, 8, 3, 3}, 1, {1, 1}, {1, 1, 1, 1}, {1, 1}, "uint8", "int4", true},
    {{1, 2, 1, 1}, {4, 2, 3, 3}, 1, {1, 1}, {1, 1, 1, 1}, {1, 1}},
};

TEST(IntegerConv, EqualsTheDefinition) {
  for (size_t i = 0; i < kCases.size(); ++i) {
    const BuiltConv built = build(kCases[i]);
    // Wider than the range on purpose: saturation is part of the definition.
    const Tensor input = random_tensor(kCases[i].x, 10 + i, -1.3f, 1.3f);
    EXPECT_EQ(executed(built, input, 1), definition(built, kCases[i], input)) << "case " << i;
  }
}

TEST(IntegerConv, SameBitsForEveryThreadCountAndInstructionSet) {
  for (const ConvCase& c : kCases) {
    const BuiltConv built = build(c);
    const Tensor input = random_tensor(c.x, 77);
    const std::vector<int32_t> wanted = executed(built, input, 1);
    for (int threads : {2, 4, 7}) EXPECT_EQ(executed(built, input, threads), wanted);
    for (int64_t target = hwy::SupportedTargets(), bit = 1; bit > 0 && bit <= target; bit <<= 1) {
      if (!(target & bit)) continue;
      hwy::SetSupportedTargetsForTest(bit);
      EXPECT_EQ(executed(built, input, 1), wanted) << hwy::TargetName(bit);
      hwy::SetSupportedTargetsForTest(0);
    }
  }
}

/// One Gemm of k inputs, all at the extreme code, weights all extreme.
std::pair<float, StepInfo> extreme_gemm(int64_t k, const std::string& activations) {
  GraphBuilder g;
  const ValueId x = g.input("x", {Dim(1), Dim(k)});
  const ValueId w = g.constant("w", Tensor::from(Dims{1, k}, std::vector<float>(static_cast<size_t>(k), 127.0f)));
  const ValueId y = g.node("Gemm", "gemm", {x, w}, {{"transB", int64_t{1}}});
  g.output(y);
  g.annotate(x, activations, 1.0f, 0);
  g.annotate_weight(w, "int8", 0);
  ThreadPool pool(1);
  Executor executor(g.graph, pool);
  const auto outputs =
      executor.run_ordered({{"x", Tensor::from(Dims{1, k}, std::vector<float>(static_cast<size_t>(k), 1e9f))}});
  return {outputs[0].data<float>()[0], executor.steps()[0]};
}

TEST(IntegerGemm, AccumulatorsAreProvenWideEnoughAndNeverWrap) {
  const auto [small, small_step] = extreme_gemm(1000, "uint8");
  EXPECT_EQ(small_step.accumulator_bound, int64_t{1000} * 255 * 127);
  EXPECT_EQ(small_step.accumulator_bits, 32);
  EXPECT_EQ(small, 1000.0f * 255 * 127);
  const auto [large, large_step] = extreme_gemm(200000, "uint8");
  EXPECT_EQ(large_step.accumulator_bound, int64_t{200000} * 255 * 127);
  EXPECT_EQ(large_step.accumulator_bits, 64);
  EXPECT_EQ(large, static_cast<float>(int64_t{200000} * 255 * 127));
  const auto [wide, wide_step] = extreme_gemm(5001, "int16");
  EXPECT_EQ(wide_step.accumulator_bits, 64);
  EXPECT_EQ(wide, static_cast<float>(int64_t{5001} * 32767 * 127));
}

TEST(IntegerGemm, WithoutAnOutputAnnotationGivesTheAccumulatorAsItIs) {
  GraphBuilder g;
  const ValueId x = g.input("x", {Dim("N"), Dim(5)});
  const ValueId w = g.constant("w", random_tensor({5, 3}, 1)), b = g.constant("b", random_tensor({3}, 2));
  g.output(g.node("Gemm", "gemm", {x, w, b}));
  g.annotate(x, "uint8", 0.01f, 100);
  g.annotate_weight(w, "int8", 1);
  ThreadPool pool(1);
  const Tensor input = random_tensor({4, 5}, 3);
  const Tensor y = Executor(g.graph, pool).run_ordered({{"x", input}})[0];
  const Tensor xq = fake_quantize(*g.graph.value(x).quantization, input),
               wq = fake_quantize(*g.graph.value(w).quantization, *g.graph.constant(w));
  for (int64_t r = 0; r < 4; ++r)
    for (int64_t c = 0; c < 3; ++c) {
      double sum = g.graph.constant(b)->data<float>()[c];
      for (int64_t k = 0; k < 5; ++k)
        sum += static_cast<double>(xq.data<float>()[r * 5 + k]) * wq.data<float>()[k * 3 + c];
      EXPECT_NEAR(y.data<float>()[r * 3 + c], sum, 1e-4);  // half a bias code
    }
}

TEST(Saturation, IsCounted) {
  GraphBuilder g;
  const ValueId x = g.input("x", {Dim(1), Dim(4)});
  g.output(g.node("Identity", "same", {x}));
  g.annotate(x, "uint8", 1.0f, 0);
  ThreadPool pool(1);
  ExecutorOptions options;
  options.count_saturation = true;
  Executor executor(g.graph, pool, options);
  executor.run({{"x", Tensor::from<float>({1, 4}, {-5, 0, 255, 300})}});
  EXPECT_DOUBLE_EQ(executor.saturation().at("x"), 0.5);
}

}  // namespace
}  // namespace lowbit
