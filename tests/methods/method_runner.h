// method_runner.h: applies one method to a small annotated graph with calibration data given as tensors.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "lowbit/methods/method.h"
#include "lowbit/ops/evaluate.h"
#include "tests/support/graph_builder.h"

namespace lowbit::testing {

/// A pass over given batches of the only input.
inline std::function<BatchSource()> batches_of(const Graph& graph, std::vector<Tensor> batches) {
  const std::string name = graph.value(graph.inputs[0]).name;
  return [name, batches] {
    return [name, batches, next = size_t{0}](NamedTensors& inputs) mutable -> int64_t {
      if (next == batches.size()) return 0;
      inputs.clear();
      inputs[name] = batches[next++];
      return inputs[name].dim(0);
    };
  };
}

/// Applies "name:option=value" to `graph`, of which `float_graph` is the form without annotations.
inline std::vector<std::string> apply_method(const std::string& text, Graph& graph, const Graph& float_graph,
                                             const std::vector<Tensor>& data, int thread_count = 2) {
  const MethodCall call = parse_method(text);
  const Recipe recipe;
  ThreadPool threads(thread_count);
  std::vector<std::string> notes;
  const MethodContext context{.recipe = recipe,
                              .threads = threads,
                              .float_graph = &float_graph,
                              .batches = batches_of(float_graph, data),
                              .progress = {},
                              .set = call.set,
                              .notes = &notes};
  call.method->apply(graph, context);
  return notes;
}

/// The graph with its annotations carried out in float: constants decoded, values rounded.
inline Tensor low_bit_result(const Graph& graph, const Tensor& x) {
  Graph decoded = graph;
  for (Value& value : decoded.values)
    if (value.constant && value.quantization) value.constant = fake_quantize(*value.quantization, *value.constant);
  ThreadPool threads(1);
  EvaluateOptions options;
  options.on_value = [](const Graph& where, ValueId id, Tensor& tensor) {
    if (where.value(id).quantization) tensor = fake_quantize(*where.value(id).quantization, tensor);
  };
  return Evaluator(decoded, threads, options).run_ordered({{graph.value(graph.inputs[0]).name, x}})[0];
}

inline Tensor float_result(const Graph& graph, const Tensor& x) {
  Graph plain = graph;
  for (Value& value : plain.values) value.quantization.reset();
  return low_bit_result(plain, x);
}

inline double squared_error(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.count(); ++i) {
    const double d = static_cast<double>(a.data<float>()[i]) - static_cast<double>(b.data<float>()[i]);
    sum += d * d;
  }
  return sum / static_cast<double>(a.count());
}

/// Correlated inputs with a mean, as activations behind a layer are: non-negative mixtures of few sources.
inline Tensor correlated_inputs(Dims dims, uint64_t seed) {
  Tensor x(DType::float32, dims);
  const int64_t outer = dims[0], channels = dims[1], inner = x.count() / std::max<int64_t>(1, outer * channels);
  Random random(seed), mixing(99);
  std::vector<double> mix(static_cast<size_t>(channels * 4));
  for (double& m : mix) m = mixing.normal();
  for (int64_t n = 0; n < outer; ++n)
    for (int64_t i = 0; i < inner; ++i) {
      double source[4];
      for (double& s : source) s = random.normal();
      for (int64_t c = 0; c < channels; ++c) {
        double value = 0.5 + 0.1 * random.normal();
        for (size_t k = 0; k < 4; ++k) value += 0.5 * mix[static_cast<size_t>(c) * 4 + k] * source[k];
        x.mutable_data<float>()[(n * channels + c) * inner + i] = static_cast<float>(std::max(0.0, value));
      }
    }
  return x;
}

}  // namespace lowbit::testing
