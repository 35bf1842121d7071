// evaluate.h: the one evaluator of the float graph. Calibration, fake quantization and error reports are hooks on it,
// not executors of their own.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"

namespace lowbit {

using NamedTensors = std::map<std::string, Tensor, std::less<>>;

struct EvaluateOptions {
  /// Use the fast versions (oneDNN) where there is one; false: references only.
  bool accelerated = true;
  /// Called for every value as soon as it is known (inputs first, then node outputs in order; constants are not
  /// reported; values inside subgraphs are reported with their own graph). May replace the tensor by one of the same
  /// type and shape (fake quantization).
  std::function<void(const Graph& graph, ValueId value, Tensor& tensor)> on_value;
  /// Called instead of running a node; return true if it filled `outputs` (one per node output). For integer steps and
  /// experiments.
  std::function<bool(const Graph& graph, const Node& node, const std::vector<const Tensor*>& inputs,
                     std::vector<Tensor>& outputs)>
      run_node;
  /// Like on_value, but only looks, at the values that `observed` names (null: all). As long as nobody replaces values
  /// or times nodes, the evaluator joins operators whose values between nobody looks at, and keeps rank-4 values as
  /// [N, H, W, C] where that is faster: `channels_last` says so.
  std::function<void(const Graph& graph, ValueId value, const Tensor& tensor, bool channels_last)> on_observed;
  std::function<bool(const Graph& graph, ValueId value)> observed;
  /// Large weights that are views on a file leave memory after their node has run (rest_pages() of
  /// core/offload.h). For passes over data that need little memory.
  bool rest_weights = false;
  /// Called after each node with its wall time in nanoseconds.
  std::function<void(const Node& node, int64_t nanoseconds)> on_time;
};

/// Throws Error{bad_argument} saying what was given and what is expected if a tensor does not fit the type and shape of
/// a graph input.
void check_input(const Value& value, const Tensor& given);

class Evaluator {
 public:
  /// Checks once that every operator is known and can run; throws Error{unsupported} listing all that are not, with how
  /// many nodes each. The graph must outlive the evaluator and not change.
  Evaluator(const Graph& graph, ThreadPool& threads, EvaluateOptions options = {});
  ~Evaluator();

  /// Runs once. Inputs by name: all graph inputs must be there, with the right dtype and a shape that fits
  /// (Error{bad_argument} naming input, what was given and what is expected). Tensors are freed as soon as their last
  /// reader has run.
  NamedTensors run(const NamedTensors& inputs);

  /// The same, returning the outputs in graph order.
  std::vector<Tensor> run_ordered(const NamedTensors& inputs);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs one node by its reference (or fast version). inputs: null where absent.
std::vector<Tensor> evaluate_node(const Node& node, const std::vector<const Tensor*>& inputs, ThreadPool& threads,
                                  bool accelerated = false);

}  // namespace lowbit
