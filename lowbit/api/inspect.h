// inspect.h: what is in a model file, without running it. Works with operators that this build does not know.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/api/container.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/measurements.h"

namespace lowbit {

/// Statistics of one constant float tensor. Error figures are those of plain min-max rounding, as a first look at what
/// a width costs.
struct WeightStatistics {
  std::string name, number_system;  ///< "float32", or "int8/channel" of a low-bit tensor
  Dims dims;
  double min = 0, max = 0, mean = 0, standard_deviation = 0;
  double sparsity = 0;       ///< share of exact zeros
  double outlier_share = 0;  ///< share beyond 6 standard deviations from the mean
  double sqnr_int8_tensor_db = 0, sqnr_int8_channel_db = 0, sqnr_int4_tensor_db = 0, sqnr_int4_channel_db = 0;
};

struct Inspection {
  Model model;                                    ///< as in the file; quantization not folded into annotations
  std::map<std::string, int64_t> operators;       ///< by full name, subgraphs included
  std::map<std::string, int64_t> unknown;         ///< those that this build does not know
  std::map<std::string, int64_t> cannot_run;      ///< known, but without a version that runs
  std::map<std::string, int64_t> number_systems;  ///< tensors by type: "float32", "int8/channel (weights)" ...
  WeightSummary weights;                          ///< as really stored where that is known (containers)
  std::optional<ContainerContents> container;
  std::vector<WeightStatistics> weight_statistics;  ///< only if asked for
};

Inspection inspect_file(const std::string& path, bool with_weight_statistics, bool allow_nonfinite = false);

/// Statistics of the float constants of a graph with at least two elements, in the order of the graph.
std::vector<WeightStatistics> weight_statistics(const Graph& graph);

/// The output channels of a weight: the axis that its first reader keeps.
int64_t channel_axis(const Graph& graph, const std::vector<Graph::Use>& uses, int64_t rank);

/// "int8/channel", or "float32" for a value without annotation.
std::string number_system_text(const Value& value);

}  // namespace lowbit
