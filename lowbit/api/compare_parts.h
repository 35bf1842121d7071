// compare_parts.h: from sums over the samples to facts, figures and the drawing of the graph. Private to api.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "lowbit/api/compare.h"
#include "lowbit/api/compare_sums.h"

namespace lowbit {

/// What was measured, by value of the low-bit graph.
struct Measured {
  const Graph& graph;  ///< annotated
  const std::set<ValueId>& fused;
  const std::vector<ValueSums>& sums;
  const std::vector<char>& incomparable;
  std::map<std::string, double> saturation;
  const StatisticsSet* calibration = nullptr;
  int64_t samples = 0;
};

/// Values that exist only inside a fused layer: not annotated, read by one activation whose result is. The integer
/// executor never makes them.
std::set<ValueId> fused_values(const Graph& graph);

/// Errors, figures, causes and the drawing.
void describe_layers(const Measured& measured, Comparison& comparison);

}  // namespace lowbit
