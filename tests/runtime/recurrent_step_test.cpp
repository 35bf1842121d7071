// LSTM and GRU as integer steps against the float operators on the same weights.
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/ops/evaluate.h"
#include "lowbit/runtime/executor.h"
#include "lowbit/runtime/session.h"
#include "tests/support/graph_builder.h"

namespace lowbit::recurrent_step_test {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

struct LayerCase {
  std::string op, direction;
  bool linear_before_reset = false, batch_first = false, peephole = false, lengths = false, static_input = false;
  std::string weights = "int8";
};

struct Built {
  Graph annotated, plain;
  NamedTensors inputs;
};

/// [directions, rows, k]: one scale for each row, whatever the direction.
void annotate_rows(GraphBuilder& g, ValueId id, const std::string& format) {
  Quantization q;
  q.format = parse_number_format(format);
  q.format.narrow = true;
  const Tensor& w = *g.graph.constant(id);
  q.granularity = {Granularity::Kind::group, 0, 1, w.dim(2)};
  q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
  g.graph.value(id).quantization = q;
}

Built build(const LayerCase& c) {
  constexpr int64_t kSteps = 7, kBatch = 3, kInputs = 20, kHidden = 37;
  const int64_t gates = c.op == "LSTM" ? 4 : 3, directions = c.direction == "bidirectional" ? 2 : 1;
  GraphBuilder g;
  const Dims x_dims = c.batch_first ? Dims{kBatch, kSteps, kInputs} : Dims{kSteps, kBatch, kInputs};
  const Dims state = c.batch_first ? Dims{kBatch, directions, kHidden} : Dims{directions, kBatch, kHidden};
  const ValueId x = g.input("x", to_shape(x_dims)), h0 = g.input("h0", to_shape(state));
  const ValueId w = g.constant("w", random_tensor({directions, gates * kHidden, kInputs}, 2, -0.4f, 0.4f));
  const ValueId r = g.constant("r", random_tensor({directions, gates * kHidden, kHidden}, 3, -0.3f, 0.3f));
  const ValueId b = g.constant("b", random_tensor({directions, 2 * gates * kHidden}, 4, -0.2f, 0.2f));
  Tensor lengths(DType::int32, {kBatch});
  for (int64_t i = 0; i < kBatch; ++i) lengths.mutable_data<int32_t>()[i] = static_cast<int32_t>(kSteps - 3 * i);
  std::vector<ValueId> inputs = {x, w, r, b, c.lengths ? g.constant("lengths", lengths) : kNone, h0};
  if (c.op == "LSTM" && c.peephole) {
    inputs.push_back(kNone);
    inputs.push_back(g.constant("p", random_tensor({directions, 3 * kHidden}, 5, -0.2f, 0.2f)));
  }
  Attributes attributes = {{"hidden_size", kHidden}, {"direction", c.direction}, {"layout", int64_t{c.batch_first}}};
  if (c.op == "GRU") attributes["linear_before_reset"] = int64_t{c.linear_before_reset};
  const ValueId y = g.node(c.op, "layer", inputs, attributes);
  g.output(y);
  g.graph.nodes.back().outputs.push_back(g.graph.add_value("last_h", DType::float32));
  g.output(g.graph.nodes.back().outputs.back());
  annotate_rows(g, w, c.weights);
  annotate_rows(g, r, c.weights);
  Built built;
  built.inputs["x"] = random_tensor(x_dims, 6);
  built.inputs["h0"] = random_tensor(state, 7, -0.5f, 0.5f);
  built.plain = g.graph;
  for (ValueId id : {w, r}) {  // what the codes stand for
    built.plain.value(id).constant = fake_quantize(*g.graph.value(id).quantization, *g.graph.constant(id));
    built.plain.value(id).quantization.reset();
  }
  if (c.static_input) {
    g.annotate(x, "uint8", 2.0f / 255, 127);
  } else {
    g.annotate(x, "int8", 1, 0);
    g.graph.value(x).quantization->dynamic = true;
    g.graph.value(x).quantization->params.clear();
  }
  built.annotated = g.graph;
  return built;
}

void expect_close(const LayerCase& c) {
  SCOPED_TRACE(c.op + " " + c.direction);
  const Built built = build(c);
  ThreadPool threads(2);
  Executor executor(built.annotated, threads);
  ASSERT_TRUE(executor.steps()[0].integer) << executor.steps()[0].kernel;
  const std::vector<Tensor> result = executor.run_ordered(built.inputs);
  const std::vector<Tensor> expected = Evaluator(built.plain, threads).run_ordered(built.inputs);
  ASSERT_EQ(result.size(), expected.size());
  for (size_t i = 0; i < result.size(); ++i) {
    ASSERT_EQ(result[i].dims(), expected[i].dims());
    for (int64_t k = 0; k < result[i].count(); ++k)
      ASSERT_NEAR(result[i].data<float>()[k], expected[i].data<float>()[k], 0.02)
          << "output " << i << ", element " << k;
  }
}

TEST(RecurrentStep, FollowsTheFloatOperatorInEveryForm) {
  for (const char* op : {"LSTM", "GRU"})
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      expect_close({op, direction});
      expect_close({op, direction, /*linear_before_reset=*/true, /*batch_first=*/true});
      expect_close({op, direction, false, false, /*peephole=*/true, /*lengths=*/true});
      expect_close({op, direction, true, false, false, true, /*static_input=*/true, "int4"});
    }
}

/// By a plan without any reference step.
std::vector<Tensor> run_plan(const Graph& graph, const NamedTensors& inputs, int threads) {
  SessionOptions options;
  options.threads = threads;
  Session session(std::make_shared<CompiledModel>(std::make_shared<const Graph>(graph)), options);
  std::vector<const void*> in;
  for (const ValueId id : graph.inputs) in.push_back(inputs.at(graph.value(id).name).raw().data());
  std::vector<Tensor> outputs;
  std::vector<void*> out;
  for (const plan::Port& port : session.outputs()) outputs.push_back(Tensor::uninitialized(port.dtype, port.dims));
  for (Tensor& tensor : outputs) out.push_back(tensor.mutable_raw());
  session.run(in, out);
  return outputs;
}

std::vector<LayerCase> plan_cases() {
  std::vector<LayerCase> cases;
  for (const char* op : {"LSTM", "GRU"})
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      cases.push_back({op, direction});
      cases.push_back({op, direction, true, true});
      cases.push_back({op, direction, false, false, true, true});
      cases.push_back({op, direction, true, false, false, true, true, "int4"});
    }
  return cases;
}

TEST(RecurrentPlan, GivesTheBitsOfTheExecutor) {
  for (const LayerCase& c : plan_cases()) {
    SCOPED_TRACE(c.op + " " + c.direction);
    const Built built = build(c);
    ThreadPool one(1);
    const std::vector<Tensor> expected = Executor(built.annotated, one).run_ordered(built.inputs);
    for (const int threads : {1, 2}) {
      const std::vector<Tensor> result = run_plan(built.annotated, built.inputs, threads);
      for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(identical(result[i], expected[i])) << "output " << i;
    }
  }
}

/// float32 sums of 58 terms of at most 1 in other orders: below 58 * 58 * 2^-24 each, at a gate of slope 1 at most,
/// seven steps one behind the other.
constexpr double kFloatBound = 58 * 58 * 0x1p-24 * 7;

TEST(RecurrentPlan, FollowsTheFloatOperatorWithinItsRoundings) {
  for (LayerCase c : plan_cases()) {
    SCOPED_TRACE(c.op + " " + c.direction);
    Built built = build(c);
    ThreadPool one(1);
    const std::vector<Tensor> expected = Evaluator(built.plain, one).run_ordered(built.inputs);
    built.annotated.value(*built.annotated.find_value("x")).quantization.reset();  // weights alone have few bits
    for (const Graph* graph : {&built.plain, &built.annotated}) {
      built.plain.value(*built.plain.find_value("x")).quantization.reset();
      const std::vector<Tensor> result = run_plan(*graph, built.inputs, 2);
      for (size_t i = 0; i < expected.size(); ++i)
        for (int64_t k = 0; k < expected[i].count(); ++k)
          ASSERT_NEAR(result[i].data<float>()[k], expected[i].data<float>()[k], kFloatBound)
              << "output " << i << ", element " << k;
    }
  }
}

TEST(RecurrentStep, StaysFloatWithItsReasonWhereTheInputIsFloat) {
  Built built = build({"LSTM", "forward"});
  built.annotated.value(*built.annotated.find_value("x")).quantization.reset();
  ThreadPool threads(1);
  const Executor executor(built.annotated, threads);
  EXPECT_FALSE(executor.steps()[0].integer);
  EXPECT_NE(executor.steps()[0].kernel.find("its input stays float"), std::string::npos) << executor.steps()[0].kernel;
}

}  // namespace
}  // namespace lowbit::recurrent_step_test
