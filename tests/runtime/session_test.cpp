// Plans against the reference executor: the same bits for every graph.
#include "lowbit/runtime/session.h"

#include <gtest/gtest.h>

#include "lowbit/core/weights.h"
#include "lowbit/runtime/executor.h"
#include "lowbit/runtime/reference_steps.h"
#include "tests/runtime/random_graph.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::make_random_graph;
using testing::RandomGraph;

std::vector<Tensor> run_session(Session& session, const Graph& graph, const NamedTensors& inputs) {
  std::vector<const void*> in;
  for (const ValueId id : graph.inputs) in.push_back(inputs.at(graph.value(id).name).raw().data());
  std::vector<Tensor> outputs;
  std::vector<void*> out;
  for (const plan::Port& port : session.outputs()) outputs.push_back(Tensor::uninitialized(port.dtype, port.dims));
  for (Tensor& tensor : outputs) out.push_back(tensor.mutable_raw());
  session.run(in, out);
  return outputs;
}

std::vector<Dims> dims_of(const Graph& graph, const NamedTensors& inputs) {
  std::vector<Dims> dims;
  for (const ValueId id : graph.inputs) dims.push_back(inputs.at(graph.value(id).name).dims());
  return dims;
}

std::string first_difference(const Tensor& a, const Tensor& b) {
  if (a.dims() != b.dims() || a.dtype() != b.dtype())
    return " in form: " + dims_text(a.dims()) + ", " + dims_text(b.dims());
  const Tensor x = to_float32(a), y = to_float32(b);
  int64_t first = -1, count = 0;
  for (int64_t i = 0; i < x.count(); ++i)
    if (x.data<float>()[i] != y.data<float>()[i]) {
      if (first < 0) first = i;
      ++count;
    }
  if (first < 0) return " in the sign of zero or in NaN";
  return " in " + std::to_string(count) + " of " + std::to_string(x.count()) + ", first at " + std::to_string(first) +
         ": " + std::to_string(x.data<float>()[first]) + ", expected " + std::to_string(y.data<float>()[first]);
}

std::string steps_text(const plan::Plan& plan) {
  std::string text;
  for (const plan::StepDetails& step : plan.details)
    text += "\n  " + step.name + ": " + step.kernel + (step.note.empty() ? "" : " [" + step.note + "]");
  return text;
}

/// Empty if the session gives the executor's bits; else what differs.
std::string difference(uint64_t seed, int threads) {
  RandomGraph random = make_random_graph(seed);
  const auto graph = std::make_shared<const Graph>(random.graph);
  ThreadPool one(1);
  std::vector<Tensor> expected;
  try {
    expected = Executor(*graph, one).run_ordered(random.inputs);
  } catch (const Error& error) {
    return std::string("the executor refuses it: ") + error.what();
  }
  SessionOptions options;
  options.threads = threads;
  options.reference_float = true;
  Session session(std::make_shared<CompiledModel>(graph, toolkit_steps()), options, dims_of(*graph, random.inputs));
  for (int run = 0; run < 2; ++run) {
    const std::vector<Tensor> outputs = run_session(session, *graph, random.inputs);
    for (size_t i = 0; i < outputs.size(); ++i)
      if (!identical(outputs[i], expected[i]))
        return "output '" + graph->value(graph->outputs[i]).name + "' of run " + std::to_string(run) + " differs" +
               first_difference(outputs[i], expected[i]) + steps_text(session.plan());
  }
  return "";
}

int graphs_to_try() {
  const char* wanted = std::getenv("LOWBIT_RANDOM_GRAPHS");
  return wanted ? std::atoi(wanted) : 300;
}

TEST(RandomGraphs, GiveTheBitsOfTheExecutor) {
  const int count = graphs_to_try();
  for (int seed = 1; seed <= count; ++seed) {
    std::string found;
    try {
      found = difference(static_cast<uint64_t>(seed), 1 + seed % 2);
    } catch (const std::exception& error) {
      found = error.what();
    }
    ASSERT_EQ(found, "") << "seed " << seed << "\n" << dump(make_random_graph(static_cast<uint64_t>(seed)).graph);
  }
}

TEST(Sessions, LookUpEmbeddingsThatAreHeldAsCodes) {
  for (const char* system : {"int8", "int4", "log4", "codebook3"}) {
    testing::GraphBuilder b;
    const ValueId words = b.input("words", {4}, DType::int64);
    const ValueId table = b.constant("table", testing::random_tensor({6, 5}, 2));
    b.annotate_weight(table, system, 0);
    const Tensor values = fake_quantize(*b.graph.value(table).quantization, *b.graph.constant(table));
    b.graph.value(table).constant = weight_codes(b.graph.value(table));
    b.output(b.node("Gather", "embedding", {table, words}));
    const Tensor picked = Tensor::from(Dims{4}, std::vector<int64_t>{5, 0, 3, 3});
    const auto graph = std::make_shared<const Graph>(b.graph);
    Session session(std::make_shared<CompiledModel>(graph, toolkit_steps()), {}, {{4}});
    const Tensor found = run_session(session, *graph, {{"words", picked}})[0];
    ASSERT_EQ(found.dtype(), DType::float32) << system;
    for (int64_t row = 0; row < 4; ++row)
      for (int64_t column = 0; column < 5; ++column)
        EXPECT_EQ(found.data<float>()[row * 5 + column], values.data<float>()[picked.data<int64_t>()[row] * 5 + column])
            << system;
  }
}

}  // namespace
}  // namespace lowbit
