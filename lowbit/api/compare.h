// compare.h: error of every layer, low-bit against float, with figures, likely causes and what was done to the weights
// apart from the activations.
#pragma once

#include <functional>

#include "lowbit/base/threads.h"
#include "lowbit/core/diagnosis.h"
#include "lowbit/core/graph.h"
#include "lowbit/data/dataset.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {

struct Comparison {
  TensorError output;
  std::vector<LayerError> layers;  ///< worst accumulated error first, each with its likely cause
  int64_t samples = 0;
  Diagnosis diagnosis;
};

struct CompareOptions {
  std::function<void(double share)> progress;
  /// Of the calibration data, by value name; null: not known.
  const StatisticsSet* calibration = nullptr;
};

/// Runs both networks on all samples, batch by batch: the low-bit one as it is (integers), each layer alone on float
/// inputs, with low-bit weights only and with low-bit activations only. Throws Error{bad_argument} if the outputs do
/// not belong together.
Comparison compare_models(const Model& float_model, const Model& low_bit, const DataSet& data, ThreadPool& threads,
                          const CompareOptions& options);

/// Statistics of the network's float inputs over at most `samples` samples: what the rule data-mismatch needs. No
/// network is run.
StatisticsSet input_statistics(const Graph& graph, const DataSet& data, int64_t samples);

}  // namespace lowbit
