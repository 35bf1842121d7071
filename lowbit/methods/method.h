// method.h: what a quantization method is: a function that edits float weights and annotations of a graph. It knows
// number systems only through numbers/number_system.h. One row per method in methods/list.cpp.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/measurements.h"
#include "lowbit/methods/placement.h"
#include "lowbit/methods/recipe.h"
#include "lowbit/observe/calibrate.h"

namespace lowbit {

/// Told while something long runs: what, and how much of it is done (0..1).
using Progress = std::function<void(std::string_view what, double share)>;

/// When a method is applied. Those of one stage run in the order of the recipe.
enum class MethodStage : uint8_t {
  float_network,  ///< edits the float network before it is calibrated; the function it computes stays the same
  annotated,      ///< edits weights, biases and annotations of the annotated network
};

/// A number that a user may set, as in "gptq:damping=0.1"; switches are 0 and 1.
struct MethodOption {
  std::string_view name;
  double fallback, low, high;  ///< default and the range that is allowed
  std::string_view summary;
};

struct MethodContext {
  const Recipe& recipe;
  ThreadPool& threads;
  const Graph* float_graph = nullptr;         ///< the network before any annotation (folded and fused the same way)
  const StatisticsSet* statistics = nullptr;  ///< null without calibration data, and in stage float_network
  /// A fresh pass over the calibration data; null without data.
  std::function<BatchSource()> batches;
  Progress progress;
  const Placement* placement = nullptr;            ///< null in stage float_network
  std::map<std::string, double, std::less<>> set;  ///< options that the user set
  std::vector<std::string>* notes = nullptr;       ///< what a user should know goes here; may be null

  void note(std::string text) const {
    if (notes) notes->push_back(std::move(text));
  }
};

struct Method {
  std::string_view name;  ///< "bias-correct"
  std::string_view summary;
  std::string_view paper;
  bool needs_data;
  void (*apply)(Graph& graph, const MethodContext& context);
  MethodStage stage = MethodStage::annotated;
  bool channel_means = false;  ///< wants the mean of every channel of the layers' inputs in the statistics
  std::span<const MethodOption> options = {};

  /// What the user set, or the default.
  double option(const MethodContext& context, std::string_view key) const;
};

std::span<const Method* const> method_table();
/// Throws Error{bad_argument} with the nearest names.
const Method& find_method(std::string_view name);

/// A method as a recipe names it: "gptq", "gptq:damping=0.1:sweeps=4".
struct MethodCall {
  const Method* method = nullptr;
  std::map<std::string, double, std::less<>> set;
};
/// Throws Error{bad_argument} for an unknown method or option (with the nearest) or a number outside of its range.
MethodCall parse_method(std::string_view text);

}  // namespace lowbit
