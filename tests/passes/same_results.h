// same_results.h: a pass may change a graph, but not what it computes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/infer_shapes.h"
#include "tests/support/graph_builder.h"

namespace lowbit::testing {

/// Number of nodes of an operator.
inline int count_op(const Graph& graph, std::string_view op) {
  return static_cast<int>(
      std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.is(op); }));
}

/// Outputs of the references on seeded inputs in [-2, 2); the inputs need known dimensions.
inline std::vector<Tensor> outputs_of(const Graph& graph, uint64_t seed) {
  NamedTensors inputs;
  for (ValueId id : graph.inputs)
    inputs[graph.value(id).name] = random_tensor(concrete(*graph.value(id).shape).value(), seed++, -2, 2);
  ThreadPool threads(1);
  EvaluateOptions options;
  options.accelerated = false;
  return Evaluator(graph, threads, options).run_ordered(inputs);
}

struct Rewritten {
  Graph graph;
  int changed;
};

/// Applies the pass to a copy with shapes and expects the same outputs: their names, shapes, and values within 1e-5 of
/// the largest one.
inline Rewritten apply_and_compare(const Graph& original, int (*pass)(Graph&)) {
  Rewritten result{original, 0};
  infer_shapes(result.graph);
  result.changed = pass(result.graph);
  EXPECT_EQ(result.graph.outputs.size(), original.outputs.size());
  for (size_t i = 0; i < original.outputs.size(); ++i)
    EXPECT_EQ(result.graph.value(result.graph.outputs[i]).name, original.value(original.outputs[i]).name);
  for (uint64_t seed : {1, 100}) {
    const auto wanted = outputs_of(original, seed), found = outputs_of(result.graph, seed);
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(wanted[i].dims(), found[i].dims());
      if (wanted[i].dims() != found[i].dims()) continue;
      double largest = 0, difference = 0;
      for (int64_t k = 0; k < wanted[i].count(); ++k) {
        const double a = wanted[i].data<float>()[k], b = found[i].data<float>()[k];
        largest = std::max(largest, std::abs(a));
        difference = std::max(difference, std::isnan(a - b) ? INFINITY : std::abs(a - b));
      }
      EXPECT_GT(largest, 0) << "outputs of zeros compare nothing";
      EXPECT_LE(difference, 1e-5 * largest) << dump(result.graph);
    }
  }
  return result;
}

}  // namespace lowbit::testing
