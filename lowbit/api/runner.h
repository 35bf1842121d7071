// runner.h: runs any model, float or low-bit, on data: what eval, run, bench, compare share.
#pragma once

#include "lowbit/api/compare.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/measurements.h"
#include "lowbit/data/dataset.h"
#include "lowbit/runtime/executor.h"

namespace lowbit {

/// True if any value of the graph is annotated.
bool is_low_bit(const Graph& graph);

/// Matches the arrays of a batch to the model's inputs: by name, or the single unnamed one to the only input without a
/// default; casts integers to the input's type, adds or splits the batch dimension when the model's batch is fixed
/// at 1. Checks shapes: Error{bad_argument} says what was given and what is expected.
NamedTensors bind_inputs(const Graph& graph, const Batch& batch);

/// Samples that a model runs at a time where nothing asks for fewer.
inline constexpr int64_t kBatchSamples = 32;

/// The batch size to use with this model: 1 if its first dimension is fixed at 1, else `wanted`.
int64_t usable_batch(const Graph& graph, int64_t wanted);

/// Metrics over the whole data set, with intervals; agreement and output error against `reference` (the first model) if
/// given: metrics "agreement", "sqnr_db". Labels absent: only those two.
struct EvaluateRun {
  ModelEvaluation evaluation;
  std::vector<int64_t> predictions;
  std::vector<Tensor> outputs;  ///< first output, one tensor per batch; kept for the reference only
};
EvaluateRun evaluate_model(const Model& model, const std::string& file, const DataSet& data, ThreadPool& threads,
                           const EvaluateRun* reference, const std::function<void(double share)>& progress = {});

/// What this machine can do at most, measured: the limit that speeds are compared with.
struct MachinePeak {
  std::string instruction_set;
  double ops_per_second = 0;    ///< 8-bit multiplications plus additions, one thread
  double bytes_per_second = 0;  ///< reading memory, one thread
};
/// Takes about a tenth of a second.
MachinePeak measure_machine_peak();

struct BenchOptions {
  double seconds = 1.0;  ///< measuring time per model
  int warmup = 3;
  int64_t batch = 1;
  bool per_layer = false;
  MachinePeak peak;                                      ///< zero: shares of it are left out
  std::function<void(double share)> progress = nullptr;  ///< called after each run
};
BenchResult bench_model(const Model& model, const std::string& file, ThreadPool& threads, const BenchOptions& options);

/// The largest resident memory of this process so far, or since reset_peak_memory().
int64_t peak_memory_bytes();
/// Lets the peak start again from what is resident now, where the system allows it (so that models measured one after
/// another do not inherit each other's peak).
void reset_peak_memory();

}  // namespace lowbit
