#include "lowbit/observe/calibrate.h"

#include "lowbit/observe/accumulate.h"

namespace lowbit {

StatisticsSet calibrate(const Graph& graph, const BatchSource& source, ThreadPool& threads,
                        const CalibrateOptions& options) {
  StatisticsSet set;
  int64_t samples = 0;
  const auto observed = [&](const Graph& where, ValueId id) {
    // Values of subgraphs have names of their own that may equal ours; they are not quantized.
    return &where == &graph && (options.values.empty() || options.values.contains(graph.value(id).name));
  };
  const auto observe = [&](const Graph&, ValueId id, const Tensor& x, bool channels_last) {
    if (!is_float(x.dtype())) return;
    const std::string& name = graph.value(id).name;
    TensorStatistics& statistics = set.tensors[name];
    if (options.per_channel.contains(name) && x.rank() > 1) statistics.channel_axis = 1;
    add_tensor(statistics, x, {/*batched=*/x.rank() > 0 && x.dim(0) == samples, channels_last}, &threads);
  };
  EvaluateOptions evaluate;
  evaluate.accelerated = options.accelerated;
  evaluate.rest_weights = true;
  evaluate.observed = observed;
  evaluate.on_observed = observe;
  Evaluator evaluator(graph, threads, std::move(evaluate));
  NamedTensors inputs;
  while ((samples = source(inputs)) > 0) evaluator.run(inputs);
  return set;
}

}  // namespace lowbit
