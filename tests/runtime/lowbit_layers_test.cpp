// Plans whose layers keep their weights in few bits, without any reference step: the executor's bits where the result
// is exact, a bound from the number of roundings where scales change along k or activations stay float.
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/core/weights.h"
#include "lowbit/runtime/executor.h"
#include "lowbit/runtime/plan/lowbit_blob.h"
#include "lowbit/runtime/session.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

struct LayerCase {
  std::string system = "int4", input = "uint8";  ///< input: "uint8", "int8", "dynamic", "dynamic-token", "float"
  int64_t rows = 1;
  int64_t group = 0;  ///< of scales along k; 0: one for each channel
  bool conv = false, coded_result = true, bias = true;
};

struct Built {
  std::shared_ptr<const Graph> graph;
  NamedTensors inputs;
  std::vector<double> reach;  ///< by channel: sum |w| max |x| + |b|
  int64_t k = 0;
};

constexpr int64_t kChannels = 40, kInputs = 96;

Quantization weight_quantization(const LayerCase& c, const Tensor& w) {
  Quantization q;
  q.format = parse_number_format(c.system);
  q.granularity = c.group > 0 ? Granularity{Granularity::Kind::group, 0, 1, c.group}
                              : Granularity{Granularity::Kind::channel, 0, 1, 0};
  if (c.system.rfind("codebook", 0) == 0) q.granularity = {};
  q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
  return q;
}

void annotate_input(GraphBuilder& g, ValueId x, const std::string& kind) {
  if (kind == "float") return;
  if (kind == "uint8") return g.annotate(x, "uint8", 3.0f / 255, 101);
  g.annotate(x, "int8", 1.5f / 127, 0);
  if (kind == "int8") return;
  Quantization& q = *g.graph.value(x).quantization;
  q.dynamic = true;
  q.params.clear();
  if (kind == "dynamic-token") q.granularity = {Granularity::Kind::channel, 0, 1, 0};
}

Built build(const LayerCase& c) {
  GraphBuilder g;
  const Dims dims = c.conv ? Dims{1, kInputs / 4, 5, c.rows} : Dims{c.rows, kInputs};
  const Dims w_dims = c.conv ? Dims{kChannels, kInputs / 4, 3, 3} : Dims{kChannels, kInputs};
  const ValueId x = g.input("x", to_shape(dims));
  const ValueId w = g.constant("w", random_tensor(w_dims, 11)), b = g.constant("b", random_tensor({kChannels}, 12));
  g.graph.value(w).quantization = weight_quantization(c, *g.graph.constant(w));
  annotate_input(g, x, c.input);
  const Attributes attributes =
      c.conv ? Attributes{{"pads", std::vector<int64_t>{1, 1, 1, 1}}} : Attributes{{"transB", int64_t{1}}};
  const ValueId y = g.node(c.conv ? "Conv" : "Gemm", "layer", {x, w, c.bias ? b : kNone}, attributes);
  if (c.coded_result) g.annotate(y, "uint8", 0.1f, 120);
  g.graph.value(y).shape = to_shape(c.conv ? Dims{1, kChannels, 5, c.rows} : Dims{c.rows, kChannels});
  g.output(y);
  Built built;
  built.inputs["x"] = random_tensor(dims, 13, -1.4f, 1.4f);
  const Tensor values = weight_values(g.graph.value(w));
  built.k = values.count() / kChannels;
  for (int64_t n = 0; n < kChannels; ++n) {
    double sum = std::abs(static_cast<double>(g.graph.constant(b)->data<float>()[n]));
    for (int64_t i = 0; i < built.k; ++i)
      sum += 1.6 * std::abs(static_cast<double>(values.data<float>()[n * built.k + i]));
    built.reach.push_back(sum);
  }
  built.graph = std::make_shared<const Graph>(g.graph);
  return built;
}

struct Result {
  Tensor y;
  std::string kernels;
  int64_t weight_bytes = 0;
};

/// Without the toolkit's references: what has no step is refused.
Result run_plan(const Built& built, int threads, std::shared_ptr<CompiledModel> model = nullptr) {
  if (!model) model = std::make_shared<CompiledModel>(built.graph);
  SessionOptions options;
  options.threads = threads;
  Session session(model, options);
  Result result{Tensor::uninitialized(session.outputs()[0].dtype, session.outputs()[0].dims), "",
                session.plan().weight_bytes};
  const void* in[] = {built.inputs.at("x").raw().data()};
  void* out[] = {result.y.mutable_raw()};
  session.run(in, out);
  for (const plan::StepDetails& step : session.plan().details) result.kernels += step.kernel + "; ";
  return result;
}

Tensor expected_of(const Built& built) {
  ThreadPool one(1);
  return Executor(*built.graph, one).run_ordered(built.inputs)[0];
}

std::string name_of(const LayerCase& c) {
  return c.system + " x " + c.input + (c.conv ? " conv " : " matrix ") + std::to_string(c.rows) + " rows, group " +
         std::to_string(c.group) + (c.coded_result ? ", codes" : ", float");
}

const char* const kIntegerSystems[] = {"int4",   "uint4", "int3",   "int2",    "ternary",
                                       "binary", "log3",  "pot2-4", "fp4-e2m1"};

TEST(LowbitLayers, GiveTheBitsOfTheExecutorWithStaticCodes) {
  for (const char* system : kIntegerSystems)
    for (const char* input : {"uint8", "int8"})
      for (const int64_t rows : {1, 7, 70})
        for (const bool conv : {false, true})
          for (const bool coded : {false, true}) {
            if (conv && rows == 70) continue;
            const LayerCase c{system, input, rows, 0, conv, coded, rows != 7};
            const Built built = build(c);
            const Result one = run_plan(built, 1), two = run_plan(built, 2);
            EXPECT_NE(one.kernels.find("bits stored"), std::string::npos) << name_of(c) << ": " << one.kernels;
            EXPECT_TRUE(identical(one.y, expected_of(built))) << name_of(c) << ": " << one.kernels;
            EXPECT_TRUE(identical(one.y, two.y)) << name_of(c);
          }
}

TEST(LowbitLayers, GiveTheBitsOfTheExecutorWithDynamicCodes) {
  for (const char* system : {"int4", "int8", "uint4", "ternary", "fp4-e2m1"})
    for (const char* input : {"dynamic", "dynamic-token"})
      for (const int64_t rows : {1, 9})
        for (const bool conv : {false, true}) {
          if (conv && std::string(input) == "dynamic-token") continue;
          LayerCase c{system, input, rows, 0, conv, false, rows != 9};
          const Built built = build(c);
          const Result made = run_plan(built, 1);
          EXPECT_TRUE(identical(made.y, expected_of(built))) << name_of(c) << ": " << made.kernels;
        }
}

/// float32 sums of K + 4 terms in different orders, each rounded to half a unit of what it reaches at most; the
/// executor's own form rounds as often.
void expect_bounded(const LayerCase& c) {
  const Built built = build(c);
  const Result made = run_plan(built, 1);
  EXPECT_NE(made.kernels.find("bits stored"), std::string::npos) << name_of(c) << ": " << made.kernels;
  const Tensor expected = expected_of(built);
  ASSERT_EQ(made.y.dims(), expected.dims()) << name_of(c);
  const int64_t inner = c.conv ? 5 * c.rows : 1;
  for (int64_t i = 0; i < expected.count(); ++i) {
    const double bound =
        2 * static_cast<double>(built.k + 4) * 0x1p-24 * built.reach[static_cast<size_t>(i / inner % kChannels)];
    ASSERT_NEAR(made.y.data<float>()[i], expected.data<float>()[i], bound + (c.coded_result ? 0.1 * (1 + 1e-6) : 0))
        << name_of(c) << ", element " << i;
  }
}

TEST(LowbitLayers, KeepScalesOfGroupsWithinTheBoundOfTheirRoundings) {
  for (const char* system : {"int4", "uint4", "ternary", "fp4-e2m1"})
    for (const char* input : {"uint8", "int8", "dynamic", "dynamic-token"})
      for (const int64_t rows : {1, 6})
        for (const bool coded : {false, true})
          if (!coded || input[0] != 'd') expect_bounded({system, input, rows, 32, false, coded});
}

TEST(LowbitLayers, DecodeWeightsOfFloatLayersWithinTheBoundOfTheirRoundings) {
  for (const char* system : {"int4", "uint4", "int8", "nf4", "codebook4", "ternary", "fp4-e2m1"})
    for (const int64_t rows : {1, 6})
      for (const bool conv : {false, true})
        for (const int64_t group : {0, 32})
          if (!conv || group == 0) expect_bounded({system, "float", rows, group, conv, false});
}

TEST(LowbitLayers, RoundDynamicInputWhereTheWeightsHaveNoIntegerForm) {
  for (const char* system : {"nf4", "codebook4"})
    for (const char* input : {"dynamic", "dynamic-token"})
      for (const bool conv : {false, true})
        if (!conv || std::string(input) == "dynamic") expect_bounded({system, input, 5, 0, conv, false});
}

TEST(LowbitLayers, WeightsStayInTheirBits) {
  const int64_t weights = kChannels * kInputs, vectors = 2 * 64 * 4 + 128 + 64;
  const Built four = build({"int4"}), two = build({"ternary"}), floats = build({"int4", "float", 1, 0, false, false});
  EXPECT_LE(run_plan(four, 1).weight_bytes, weights / 2 * 48 / kChannels + vectors);
  EXPECT_LE(run_plan(two, 1).weight_bytes, weights / 4 * 48 / kChannels + vectors);
  EXPECT_LE(run_plan(floats, 1).weight_bytes, weights / 2 * 48 / kChannels + vectors);
}

TEST(LowbitLayers, RunFromWhatWasPackedBeforeWithoutTheWeights) {
  for (const char* input : {"uint8", "dynamic", "float"}) {
    const Built built = build({"int4", input, 3, 0, false, false});
    auto first = std::make_shared<CompiledModel>(built.graph);
    const Result made = run_plan(built, 1, first);
    ASSERT_EQ(first->weights()->sources().count("w"), 1u);
    bool loaded = false;
    auto second =
        std::make_shared<CompiledModel>(built.graph, first->weights(), [&] { return loaded = true, built.graph; });
    EXPECT_TRUE(identical(run_plan(built, 1, second).y, made.y));
    EXPECT_FALSE(loaded) << input;
  }
}

TEST(LowbitBlob, NamesNoPlaceOutsideItselfWhateverItsHeaderSays) {
  const Built built = build({"uint4", "uint8", 1, 32});
  std::string why;
  const auto matrix = level_matrix(built.graph->value(*built.graph->find_value("w")), {{0, 1}, 1}, why);
  ASSERT_TRUE(matrix) << why;
  std::vector<int64_t> rows(kChannels);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  const plan::LowbitForm form{kChannels, kInputs, true, true, true};
  const auto blob = plan::make_lowbit(*matrix, rows, form, why);
  ASSERT_TRUE(blob) << why;
  for (size_t at = 0; at < 128; ++at)
    for (const int value : {0, 1, 2, 3, 127, 128, 255}) {
      const auto bytes = plan::allocate_aligned(blob->size);
      std::copy_n(blob->bytes.get(), blob->size, bytes.get());
      bytes.get()[at] = static_cast<std::byte>(value);
      const auto entry = plan::open_lowbit({bytes, blob->size}, form);
      if (!entry) continue;
      const kernels::LowbitMatrix& m = entry->matrix;
      const auto inside = [&](const void* begin, int64_t size) {
        const auto* p = static_cast<const std::byte*>(begin);
        return !p || (p >= bytes.get() && p + size <= bytes.get() + blob->size);
      };
      const int64_t parameters = m.blocks() * m.groups() * kernels::kLowbitRows;
      EXPECT_TRUE(inside(m.codes, static_cast<int64_t>(kernels::lowbit_code_bytes(m.coding, m.n, m.k))) &&
                  inside(m.scales, parameters * 4) && inside(m.zeros, parameters) &&
                  inside(m.offsets, m.blocks() * kernels::kLowbitRows * 4) && inside(entry->real_levels, 64))
          << "byte " << at << " = " << value;
    }
  EXPECT_FALSE(plan::open_lowbit({blob->bytes, blob->size - 1}, form));
}

}  // namespace
}  // namespace lowbit
