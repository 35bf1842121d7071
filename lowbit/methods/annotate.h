// annotate.h: turns a placement and statistics into annotations, and writes the coverage ledger.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "lowbit/core/measurements.h"
#include "lowbit/methods/placement.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {

/// Names of the values whose statistics annotate() will ask for.
std::set<std::string> values_to_observe(const Graph& graph, const Placement& placement);

/// Annotates activations (static ranges from statistics, by each layer's rule) and weights (fitted). `statistics` may
/// be null if no activation is placed. Weights are fitted on `threads`, if there are any, with the same result. Raises
/// a channel's weight scale where its bias would not fit 32 bits. Appends to `notes` what a user should know. A value
/// that calibration never saw is an error (Error{bad_argument}) naming it.
void annotate(Graph& graph, const Recipe& recipe, const Placement& placement, const StatisticsSet* statistics,
              std::vector<std::string>& notes, ThreadPool* threads = nullptr);

/// The smallest weight scale of an output channel with which the bias code |b| / (s_x * s_w) stays below 2^30, half of
/// what 32 bits hold; 0 if there is no such limit.
float smallest_weight_scale(const Graph& graph, const Node& node, int64_t channel);

/// The ledger: every node, low-bit or kept and why. `original`: the network as it came (sizes); multiply-adds are for
/// one sample.
Coverage coverage_of(const Graph& graph, const Placement& placement, const StatisticsSet* statistics);

}  // namespace lowbit
