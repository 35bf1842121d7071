#include "lowbit/observe/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/observe/sample_data.h"

namespace lowbit {
namespace {

/// x [N, 3, 40] -> Relu -> r -> Shape -> s (integers); r -> Neg -> y.
Graph small_graph() {
  Graph graph;
  const Shape shape = {Dim("N"), 3, 40};
  const ValueId x = graph.add_value("x", DType::float32, shape), r = graph.add_value("r", DType::float32, shape);
  const ValueId s = graph.add_value("s", DType::int64), y = graph.add_value("y", DType::float32, shape);
  const auto add = [&](const char* op, ValueId from, ValueId to) {
    Node node;
    node.name = node.op = op;
    node.inputs = {from};
    node.outputs = {to};
    graph.nodes.push_back(node);
  };
  add("Relu", x, r);
  add("Shape", r, s);
  add("Neg", r, y);
  graph.inputs = {x};
  graph.outputs = {s, y};
  return graph;
}

constexpr int64_t kSamples = 13, kPerSample = 120;

/// Batches of `batch` samples, the last one smaller.
BatchSource batches(const std::vector<float>& x, int64_t batch) {
  return [&x, batch, next = int64_t{0}](NamedTensors& inputs) mutable {
    const int64_t n = std::min(batch, kSamples - next);
    const std::span<const float> part(x.data() + next * kPerSample, static_cast<size_t>(n * kPerSample));
    inputs["x"] = Tensor::from({n, 3, 40}, part);
    next += n;
    return n;
  };
}

class Calibrate : public ::testing::Test {
 protected:
  StatisticsSet run(int64_t batch, int threads, const CalibrateOptions& options = {}) {
    ThreadPool pool(threads);
    return calibrate(graph, batches(x, batch), pool, options);
  }
  Graph graph = small_graph();
  std::vector<float> x = testing::sample_values(testing::DataKind::normal, kSamples* kPerSample, 3);
};

TEST_F(Calibrate, observes_every_float_value) {
  const StatisticsSet set = run(4, 1);
  ASSERT_EQ(set.tensors.size(), 3u);
  TensorStatistics expected;
  expected.add(Tensor::from({kSamples, kPerSample}, x), /*batched=*/true);
  EXPECT_EQ(set.tensors.at("x"), expected);
  for (float& v : x) v = -std::max(v, 0.0f);
  TensorStatistics expected_y;
  expected_y.add(Tensor::from({kSamples, kPerSample}, x), /*batched=*/true);
  EXPECT_EQ(set.tensors.at("y"), expected_y);
}

TEST_F(Calibrate, gives_the_same_whatever_the_batches_and_threads) {
  const StatisticsSet expected = run(13, 1);
  for (int64_t batch : {1, 5}) EXPECT_EQ(run(batch, 2).tensors, expected.tensors);
}

TEST_F(Calibrate, observes_only_what_is_asked_for) {
  const StatisticsSet set = run(13, 2, {.values = {"r"}, .per_channel = {"r"}});
  ASSERT_EQ(set.tensors.size(), 1u);
  const TensorStatistics& r = set.tensors.at("r");
  ASSERT_EQ(r.channels.size(), 3u);
  for (const TensorStatistics::Channel& channel : r.channels) EXPECT_EQ(channel.count, kSamples * 40);
}

}  // namespace
}  // namespace lowbit
