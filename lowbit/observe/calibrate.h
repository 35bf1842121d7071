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
  std::set<std::string> per_channel;  ///< values that also get per-channel statistics (axis 1)
  bool accelerated = true;
};

/// Source of batches: fills `inputs` and returns the number of samples in it, 0 at the end.
using BatchSource = std::function<int64_t(NamedTensors& inputs)>;

/// Statistics of the float graph over all batches. Progress is the source's business. Memory: the live tensors of one batch + the statistics.
StatisticsSet calibrate(const Graph& graph, const BatchSource& source, ThreadPool& threads, const CalibrateOptions& options);

}  // namespace lowbit
