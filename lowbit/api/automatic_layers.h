// automatic_layers.h: what the automatic mode chooses between: the layers, their candidates, and what each costs.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lowbit/api/quantize.h"
#include "lowbit/search/search.h"
#include "lowbit/search/sensitivity.h"

namespace lowbit {

/// Nodes that are decided together: one, or all that share a weight.
struct LayerGroup {
  std::vector<std::string> names;
  std::string op;
  int64_t macs = 0;
  std::set<std::string> weights;  ///< names of the constants
};

/// The layers of a prepared float graph whose weights the recipe would make low-bit; those that a rule of the recipe
/// names weights for are the user's choice and left out. `coverage`: of any quantization of it, for the multiply-adds.
std::vector<LayerGroup> layer_groups(const Graph& graph, const Recipe& recipe, const Coverage& coverage);

/// The recipe with a rule for each layer: candidates[l] is the number system of the weights of group l.
Recipe with_weights(Recipe recipe, const std::vector<LayerGroup>& groups, const std::vector<std::string>& candidates);

/// Evenly spread samples of the calibration data as inputs of the graph: as many (16 to 128) as `runs` runs of a
/// network of `macs` multiply-adds allow.
std::vector<NamedTensors> few_samples(const Graph& graph, const DataSet& data, int64_t macs, double runs,
                                      ThreadPool& threads);

/// The network quantized with each candidate for all layers, weights only: where the weights of single layers come
/// from.
class CandidateWeights {
 public:
  /// Throws as quantize(). Methods that edit the float network are those of the recipe.
  CandidateWeights(const Model& model, const DataSet& calibration, const Recipe& recipe,
                   const std::vector<std::string>& candidates, ThreadPool& threads, const Progress& progress);

  /// [group][candidate]: mean divergence of the output with that layer alone changed. `graph`: the float network with
  /// the recipe's edits.
  std::vector<std::vector<double>> losses(const Graph& graph, const std::vector<LayerGroup>& groups,
                                          const search::Sensitivity& sensitivity, const Progress& progress) const;
  /// [group][candidate]: bytes of the file at `output` with that layer alone changed, and all others as in `base`.
  std::vector<std::vector<double>> bytes(const Model& base, const std::vector<LayerGroup>& groups,
                                         const std::string& output, const LowerOptions& lower,
                                         const Progress& progress) const;

 private:
  std::vector<Graph> graphs_;  ///< by candidate
};

/// [candidate][group]: milliseconds of one run spent in each group when all layers have that candidate; the last row's
/// last number of each candidate is what the rest of the network takes.
struct LayerTimes {
  std::vector<std::vector<double>> ms;
  std::vector<double> rest;
};
LayerTimes measure_times(const Model& model, const DataSet& calibration, const Recipe& recipe,
                         const std::vector<LayerGroup>& groups, const std::vector<std::string>& candidates,
                         ThreadPool& threads, const Progress& progress);

}  // namespace lowbit
