// sensitivity.h: what each change of a single layer does to the network's output, from few samples: the float network
// is run once and every value kept; a change at a node then costs running the nodes behind it.
#pragma once

#include <map>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/search/divergence.h"

namespace lowbit::search {

class Sensitivity {
 public:
  /// Runs `graph` (float) on the samples and keeps all values. graph and threads must outlive this. `has_labels`: of
  /// the data (divergence.h).
  Sensitivity(const Graph& graph, std::vector<NamedTensors> batches, bool has_labels, ThreadPool& threads);

  OutputKind kind() const { return kind_; }

  /// Mean divergence of the first output with the constants of nodes[0] ... replaced (all in topological order, those
  /// between them included, run again). For a single node with a result of rank >= 2 the mean of each channel of its
  /// result (axis 1; for rank 2 and MatMul the last axis) is brought back first, as bias correction does.
  double replaced_constants(std::vector<size_t> nodes, const std::map<ValueId, Tensor>& constants) const;

 private:
  double run_suffix(const Graph& suffix, size_t batch, const std::map<ValueId, Tensor>& given) const;
  double divergence_of(size_t batch, const Tensor& output) const;

  const Graph& graph_;
  ThreadPool& threads_;
  std::vector<std::map<ValueId, Tensor>> values_;  ///< of each batch
  std::vector<Tensor> rows_;                       ///< first output of each batch
  OutputKind kind_ = OutputKind::values;
};

/// [samples, rest] of an output whose first dimension is the batch (otherwise one row), as float32.
Tensor output_rows(const Tensor& output, int64_t samples);

}  // namespace lowbit::search
