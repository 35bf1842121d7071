// calibrate.h: one streaming pass of the evaluator over the data, with statistics of all values as a hook.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "lowbit/base/threads.h"
#include "lowbit/observe/statistics.h"
#include "lowbit/ops/evaluate.h"

namespace lowbit {

struct CalibrateOptions {
  std::set<std::string> values;  ///< names of the values to observe; empty: every float value
  std::set<std::string>
      per_channel;  ///< values that also get per-channel statistics (axis 1; not those of rank 0 and 1)
  bool accelerated = true;
};

/// Source of batches: fills `inputs` and returns the number of samples in it, 0 at the end.
using BatchSource = std::function<int64_t(NamedTensors& inputs)>;

/// Statistics of the float values of `graph` over all batches; those inside subgraphs are left out. A value whose first
/// dimension is the number of samples of the batch is taken apart into samples, any other one is one sample. Names of
/// `options` that no value has are ignored. Progress is the source's business. Memory: the live tensors of one batch +
/// the statistics. The result depends neither on the threads nor on how the samples are batched, if the values do not.
StatisticsSet calibrate(const Graph& graph, const BatchSource& source, ThreadPool& threads,
                        const CalibrateOptions& options);

}  // namespace lowbit
