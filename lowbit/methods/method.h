// method.h: what a quantization method is: a function that edits float weights and annotations of a graph. It knows
// number systems only through numbers/number_system.h. One row per method in methods/list.cpp.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/measurements.h"
#include "lowbit/methods/recipe.h"
#include "lowbit/observe/calibrate.h"

namespace lowbit {

/// Told while something long runs: what, and how much of it is done (0..1).
using Progress = std::function<void(std::string_view what, double share)>;

struct MethodContext {
  const Recipe& recipe;
  ThreadPool& threads;
  const Graph* float_graph = nullptr;         ///< the network before any annotation (folded and fused the same way)
  const StatisticsSet* statistics = nullptr;  ///< null without calibration data
  /// A fresh pass over the calibration data; null without data.
  std::function<BatchSource()> batches;
  Progress progress;
};

struct Method {
  std::string_view name;  ///< "bias-correct"
  std::string_view summary;
  std::string_view paper;
  bool needs_data;
  void (*apply)(Graph& graph, const MethodContext& context);
};

std::span<const Method* const> method_table();
/// Throws Error{bad_argument} with the nearest names.
const Method& find_method(std::string_view name);

}  // namespace lowbit
