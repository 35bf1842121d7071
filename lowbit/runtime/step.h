// step.h: one unit of execution: an operator of the graph (with what is fused into it) made ready to run. Everything
// that can be decided from the graph is decided when the step is made; run() only computes.
//
// To add an integer form of an operator: a function in runtime/steps/, and its row in runtime/steps/list.cpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/runtime/codes.h"
#include "lowbit/runtime/executor.h"
#include "lowbit/runtime/requantize.h"

namespace lowbit {

/// What a step computes with: a tensor per value (codes for annotated values, float otherwise).
struct Frame {
  const Graph& graph;
  ThreadPool& threads;
  std::vector<Tensor>& slots;
  std::vector<int64_t>* clipped;  ///< per value, null if saturation is not counted

  const Tensor& at(ValueId id) const { return slots[static_cast<size_t>(id)]; }
  void set(ValueId id, Tensor tensor) { slots[static_cast<size_t>(id)] = std::move(tensor); }
  int64_t* clipped_at(ValueId id) const { return clipped ? &(*clipped)[static_cast<size_t>(id)] : nullptr; }
};

struct Step {
  StepInfo info;
  std::vector<ValueId> inputs, outputs;  ///< slots read and written (constants not listed)
  std::vector<int32_t> nodes;            ///< nodes of the graph that it covers, the first names it
  std::function<void(Frame&)> run;
};

/// Float operators between float values; decodes annotated inputs, encodes annotated outputs. Always possible.
Step make_float_step(const Graph& graph, int32_t node, std::string why);

/// What a factory sees.
struct LowerContext {
  const Graph& graph;
  const GraphIndex& index;

  /// The annotation of an activation or constant that integer steps can use (static, linear), or null.
  const Quantization* linear(ValueId id) const;
  /// The same, per tensor.
  const Quantization* per_tensor(ValueId id) const;
};

/// A Relu or Clip that is the only reader of an unannotated result and whose own result is annotated.
struct FusedActivation {
  int32_t node = -1;       ///< -1: none
  ValueId output = kNone;  ///< the value that the step finally writes
  float low = -1e38f, high = 1e38f;
};
/// With no activation to fuse: output = `result`.
FusedActivation fused_activation(const LowerContext& context, ValueId result);

/// Codes of an output with the activation's limits.
OutputCodes output_codes(const Quantization& quantization, const FusedActivation& activation);

/// Makes the integer step of a node, or returns nothing and says in `why` what is missing ("its input is not
/// annotated").
using StepFactory = std::optional<Step> (*)(const LowerContext& context, int32_t node, std::string& why);

/// The step of a node as the reference executor runs it: its integer step if one covers it, else the float step.
Step lower_node(const LowerContext& context, int32_t node);

struct StepRow {
  std::string_view op;
  StepFactory make;
  std::string_view summary;
};
std::span<const StepRow> step_table();

}  // namespace lowbit
