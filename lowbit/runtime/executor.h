// executor.h: runs an annotated graph with integer arithmetic, exactly as docs/integer-semantics.md defines it. A graph
// without annotations runs in float. Same bits for every thread count and instruction set on the integer path.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/ops/evaluate.h"

namespace lowbit {

/// How one node of the graph is executed.
struct StepInfo {
  std::string node, op;
  std::string kernel;  ///< "conv int8 x uint8 -> uint8", "lookup table", "float (Softmax has no integer form here)"
  bool integer = false;
  int64_t accumulator_bound = 0;  ///< proven largest |accumulator| from the real weights (0 where there is none)
  int accumulator_bits = 0;       ///< 32 or 64, wide enough for the bound
  std::string note;               ///< e.g. a bias that was widened
};

struct ExecutorOptions {
  /// Count values that saturated at each quantization (a small cost).
  bool count_saturation = false;
  /// Called with every value: codes as int32 tensors for annotated ones (after quantization), float otherwise.
  std::function<void(ValueId value, const Tensor& tensor, bool is_codes)> on_value;
  std::function<void(const Node& node, int64_t nanoseconds)> on_time;
};

/// Throws Error{unsupported} listing every operator of the graph that cannot run here.
void check_operators(const Graph& graph);

class Executor {
 public:
  /// Lowers the graph once: packs weights, proves accumulators, builds tables. Throws Error{unsupported} listing every
  /// operator that cannot run. The graph must outlive the executor.
  Executor(const Graph& graph, ThreadPool& threads, ExecutorOptions options = {});
  ~Executor();

  /// Inputs by name, float as in the float graph; outputs by name, float.
  NamedTensors run(const NamedTensors& inputs);
  std::vector<Tensor> run_ordered(const NamedTensors& inputs);

  const std::vector<StepInfo>& steps() const;

  /// Share of values that were clipped at each annotated value, over all runs so far; by value name. Needs
  /// count_saturation.
  std::map<std::string, double> saturation() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lowbit
