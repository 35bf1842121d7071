#include <gtest/gtest.h>

#include <limits>

#include "lowbit/methods/metric_rounding.h"
#include "tests/methods/method_runner.h"

namespace lowbit {
namespace {

using testing::apply_method;
using testing::correlated_inputs;
using testing::GraphBuilder;
using testing::random_tensor;

/// H = A A^T + I / 4 of a random A.
Matrix random_metric(int64_t n, uint64_t seed) {
  Random random(seed);
  Matrix a(n, n), h(n, n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) a.at(i, j) = random.normal();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t k = 0; k < n; ++k) h.at(i, j) += a.at(i, k) * a.at(j, k);
      if (i == j) h.at(i, j) += 0.25;
    }
  return h;
}

Quantization scaled_by(const std::string& format, float scale) {
  return linear_quantization(parse_number_format(format), {scale, 0}, "test");
}

double error_of(const Matrix& h, const std::vector<double>& e) {
  double sum = 0;
  for (size_t i = 0; i < e.size(); ++i)
    for (size_t j = 0; j < e.size(); ++j) sum += e[i] * h.at(static_cast<int64_t>(i), static_cast<int64_t>(j)) * e[j];
  return sum;
}

/// The least error over all codes -2..1 of each of n elements, by trying all.
double least_error(const Matrix& h, const Matrix& target) {
  const int64_t n = target.rows();
  double best = std::numeric_limits<double>::infinity();
  for (int64_t number = 0; number < int64_t{1} << (2 * n); ++number) {
    std::vector<double> e;
    for (int64_t i = 0; i < n; ++i)
      e.push_back(target.at(i, 0) - 0.5 * static_cast<double>((number >> (2 * i) & 3) - 2));
    best = std::min(best, error_of(h, e));
  }
  return best;
}

TEST(MetricRounding, IsNearTheBestOfAllChoicesAndReportsItsErrorTruly) {
  const Quantization q = scaled_by("int2", 0.5f);
  const WeightGrid grid(q, q.params);
  const GroupOf group = [](int64_t, int64_t) { return 0; };
  ThreadPool threads(1);
  double nearest = 0, rounded = 0, descended = 0, best = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const int64_t n = 6;
    const MetricRounder rounder(random_metric(n, seed), true, threads);
    ASSERT_TRUE(rounder.usable());
    Matrix target(n, 1);
    Random random(seed + 100);
    std::vector<double> plain;
    for (int64_t i = 0; i < n; ++i) {
      target.at(i, 0) = 0.5 * random.normal();
      plain.push_back(target.at(i, 0) - static_cast<double>(grid.nearest(0, target.at(i, 0))));
    }
    RoundedMatrix made = rounder.round(target, grid, group);
    EXPECT_NEAR(made.error[0], rounder.errors(target, made.levels)[0], 1e-9);
    nearest += error_of(rounder.metric(), plain);
    rounded += made.error[0];
    rounder.descend(target, grid, group, 20, made);
    descended += made.error[0];
    best += least_error(rounder.metric(), target);
  }
  EXPECT_LT(rounded, nearest);
  EXPECT_LE(descended, rounded);
  EXPECT_GE(descended, best - 1e-9);
  EXPECT_LT(descended - best, 0.5 * (nearest - best));  // more than half of what can be won
}

TEST(MetricRounding, SolvingGivesTheTargetThatMinimisesTheDifference) {
  ThreadPool threads(1);
  const Matrix h = random_metric(5, 1);
  const MetricRounder rounder(h, true, threads);
  Matrix bt(5, 3);
  Random random(2);
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t r = 0; r < 3; ++r) bt.at(i, r) = random.normal();
  const Matrix x = rounder.solve(bt);
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t r = 0; r < 3; ++r) {
      double product = 0;
      for (int64_t j = 0; j < 5; ++j) product += h.at(i, j) * x.at(j, r);
      EXPECT_NEAR(product, bt.at(i, r), 1e-9);
    }
}

/// A network of two convolutions and a matrix layer, and its form with low-bit weights and rounded activations.
struct Network {
  GraphBuilder b;
  Graph float_graph;
  std::vector<Tensor> data;

  explicit Network(const std::string& weights, Granularity::Kind kind = Granularity::Kind::channel) {
    const ValueId x = b.input("x", {96, 6, 6, 6});
    const ValueId w1 = b.constant("w1", random_tensor({8, 6, 3, 3}, 3)),
                  w2 = b.constant("w2", random_tensor({8, 1, 3, 3}, 4)),
                  w3 = b.constant("w3", random_tensor({8, 5}, 5));
    const std::vector<int64_t> pads = {1, 1, 1, 1};
    const ValueId h1 = b.node("Relu", "r1", {b.node("Conv", "c1", {x, w1}, {{"pads", pads}})});
    const ValueId h2 = b.node("Relu", "r2", {b.node("Conv", "c2", {h1, w2}, {{"pads", pads}, {"group", int64_t{8}}})});
    const ValueId mean = b.node("Flatten", "flat", {b.node("GlobalAveragePool", "mean", {h2})});
    b.output(b.node("Gemm", "head", {mean, w3}));
    float_graph = b.graph;
    data = {correlated_inputs({96, 6, 6, 6}, 1), correlated_inputs({96, 6, 6, 6}, 2)};
    for (const auto& [id, axis] : {std::pair<ValueId, int64_t>{w1, 0}, {w2, 0}, {w3, 1}}) {
      Quantization q;
      q.format = parse_number_format(weights);
      q.granularity = {kind, axis, 1, kind == Granularity::Kind::group ? int64_t{4} : int64_t{0}};
      const Tensor& w = *b.graph.constant(id);
      q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
      b.graph.value(id).quantization = q;
    }
    b.annotate(x, "uint8", 0.02f, 0);
  }
  double error() const {
    const Tensor fresh = correlated_inputs({96, 6, 6, 6}, 77);  // not what the method saw
    return testing::squared_error(testing::float_result(float_graph, fresh), testing::low_bit_result(b.graph, fresh));
  }
};

TEST(Gptq, LowersTheErrorOnFreshDataForEverySystemAndGranularity) {
  using Kind = Granularity::Kind;
  const std::pair<const char*, Kind> cases[] = {
      {"int4", Kind::channel}, {"int3", Kind::channel}, {"int2", Kind::group},     {"int4", Kind::tensor},
      {"log4", Kind::channel}, {"nf4", Kind::channel},  {"ternary", Kind::channel}};
  for (const auto& [system, kind] : cases) {
    Network plain(system, kind), corrected(system, kind), rounded(system, kind);
    apply_method("bias-correct", corrected.b.graph, corrected.float_graph, corrected.data);
    const auto notes = apply_method("gptq", rounded.b.graph, rounded.float_graph, rounded.data);
    EXPECT_TRUE(notes.empty()) << system;
    EXPECT_LT(corrected.error(), 0.5 * plain.error()) << system;
    EXPECT_LT(rounded.error(), 0.7 * corrected.error()) << system << " " << static_cast<int>(kind);
  }
}

TEST(Gptq, WritesLevelsOfItsOwnParameters) {
  for (const char* system : {"int4", "log4"}) {
    Network n(system);
    apply_method("gptq", n.b.graph, n.float_graph, n.data);
    for (const Value& value : n.b.graph.values)
      if (value.constant && value.quantization) {
        EXPECT_TRUE(identical(*value.constant, fake_quantize(*value.quantization, *value.constant))) << value.name;
      }
  }
}

TEST(Gptq, LeavesNearestVectorsAndCorrectsTheirMeans) {
  for (const char* method : {"gptq", "learned-rounding", "diffuse"}) {
    Network plain("vq-2x16", Granularity::Kind::tensor), n("vq-2x16", Granularity::Kind::tensor);
    const auto notes = apply_method(method, n.b.graph, n.float_graph, n.data);
    for (size_t v = 0; v < n.b.graph.values.size(); ++v)
      if (n.b.graph.values[v].constant && n.b.graph.values[v].quantization) {
        EXPECT_TRUE(identical(*n.b.graph.values[v].constant, *plain.b.graph.values[v].constant)) << method;
      }
    if (std::string(method) == "diffuse") continue;
    EXPECT_FALSE(notes.empty()) << method;
    EXPECT_LT(n.error(), plain.error()) << method;
  }
}

TEST(Gptq, DoesNotDependOnTheThreads) {
  Network one("int3"), three("int3");
  apply_method("gptq", one.b.graph, one.float_graph, one.data, 1);
  apply_method("gptq", three.b.graph, three.float_graph, three.data, 3);
  for (size_t v = 0; v < one.b.graph.values.size(); ++v)
    if (one.b.graph.values[v].constant) {
      EXPECT_TRUE(identical(*one.b.graph.values[v].constant, *three.b.graph.values[v].constant));
    }
}

TEST(Gptq, AConstantInputIsNoProblem) {
  Network n("int4");
  n.data = {Tensor(DType::float32, {96, 6, 6, 6})};
  apply_method("gptq", n.b.graph, n.float_graph, n.data);
  const Tensor zeros(DType::float32, {96, 6, 6, 6});
  EXPECT_LT(
      testing::squared_error(testing::float_result(n.float_graph, zeros), testing::low_bit_result(n.b.graph, zeros)),
      1e-9);
}

TEST(MetricRounding, LearnedRoundingIsBetterThanTheNearestLevels) {
  const Quantization q = scaled_by("int4", 0.5f);
  const WeightGrid grid(q, q.params);
  const GroupOf group = [](int64_t, int64_t) { return 0; };
  ThreadPool threads(2);
  const int64_t n = 24, rows = 10;
  const MetricRounder rounder(random_metric(n, 3), true, threads);
  Matrix target(n, rows), nearest(n, rows);
  Random random(4);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t r = 0; r < rows; ++r) {
      target.at(i, r) = random.normal();
      nearest.at(i, r) = static_cast<double>(grid.nearest(0, target.at(i, r)));
    }
  const RoundedMatrix learned = rounder.learn(target, grid, group, 400);
  const std::vector<double> before = rounder.errors(target, nearest);
  double all_before = 0, all_after = 0;
  for (size_t r = 0; r < before.size(); ++r) {
    all_before += before[r];
    all_after += learned.error[r];
  }
  EXPECT_LT(all_after, 0.8 * all_before);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t r = 0; r < rows; ++r) {  // each element is one of its two neighbours
      const auto [low, high] = grid.around(0, target.at(i, r));
      EXPECT_TRUE(learned.levels.at(i, r) == static_cast<double>(low) ||
                  learned.levels.at(i, r) == static_cast<double>(high));
    }
}

TEST(LearnedRounding, LowersTheErrorOnFreshData) {
  Network corrected("int3"), learned("int3");
  apply_method("bias-correct", corrected.b.graph, corrected.float_graph, corrected.data);
  apply_method("learned-rounding:steps=100", learned.b.graph, learned.float_graph, learned.data);
  EXPECT_LT(learned.error(), 0.7 * corrected.error());
}

}  // namespace
}  // namespace lowbit
