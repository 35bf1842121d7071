#include "lowbit/methods/sample_weights.h"

#include <cmath>

#include "lowbit/ops/evaluate.h"

namespace lowbit {
namespace {

/// Index of the first output that a Softmax makes, or -1.
int64_t softmax_output(const Graph& graph) {
  const std::vector<int32_t> producers = graph.producers();
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const int32_t node = producers[static_cast<size_t>(graph.outputs[i])];
    if (node >= 0 && graph.nodes[static_cast<size_t>(node)].is("Softmax")) return static_cast<int64_t>(i);
  }
  return -1;
}

}  // namespace

std::vector<std::vector<double>> sample_weights(const MethodContext& context, double focus) {
  const Graph& graph = *context.float_graph;
  const int64_t output = softmax_output(graph);
  if (focus <= 0 || output < 0 || !context.batches) return {};
  Evaluator evaluator(graph, context.threads);
  const BatchSource source = context.batches();
  std::vector<std::vector<double>> weights;
  double sum = 0, count = 0;
  NamedTensors inputs;
  for (int64_t samples = 0; (samples = source(inputs)) > 0;) {
    const Tensor p = evaluator.run_ordered(inputs)[static_cast<size_t>(output)];
    if (p.dtype() != DType::float32 || p.rank() != 2 || p.dim(0) != samples) return {};
    weights.emplace_back();
    for (int64_t n = 0; n < samples; ++n) {
      double squares = 0;
      for (int64_t c = 0; c < p.dim(1); ++c)
        squares += std::pow(static_cast<double>(p.data<float>()[n * p.dim(1) + c]), 2);
      weights.back().push_back(std::max(0.0, 1 - squares));
      sum += weights.back().back();
      count += 1;
    }
  }
  if (!(sum > 0) || !std::isfinite(sum)) return {};
  for (auto& batch : weights)
    for (double& w : batch) w = 1 - focus + focus * w * count / sum;
  return weights;
}

}  // namespace lowbit
