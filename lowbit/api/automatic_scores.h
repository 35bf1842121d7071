// automatic_scores.h: outputs of the float network on a set of samples, and how low-bit ones compare with them.
#pragma once

#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/data/dataset.h"
#include "lowbit/search/divergence.h"
#include "lowbit/search/verdict.h"

namespace lowbit {

/// The float network's answers for one part of the data.
class ReferenceScores {
 public:
  ReferenceScores(const Model& model, const DataSet& data, ThreadPool& threads);

  search::Measure measure() const { return measure_; }
  search::OutputKind kind() const { return kind_; }
  const std::string& note() const { return note_; }
  /// Runs an annotated model on the same samples.
  search::Drop compare(const Graph& graph, const std::function<void(double share)>& progress = {}) const;

 private:
  std::vector<Tensor> run(const Graph& graph, const std::function<void(double share)>& progress) const;
  void decide_measure();

  const DataSet& data_;
  ThreadPool& threads_;
  std::vector<Tensor> rows_;     ///< by batch
  std::vector<int64_t> labels_;  ///< empty: none that fit
  search::Measure measure_ = search::Measure::agreement;
  search::OutputKind kind_ = search::OutputKind::values;
  std::string note_;
};

}  // namespace lowbit
