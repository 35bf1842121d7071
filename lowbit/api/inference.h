// inference.h: runs a model on named tensors by the fastest means that gives the wanted bits: a static plan for the
// input shapes at hand, or the reference executor where a shape depends on data.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/runtime/executor.h"
#include "lowbit/runtime/session.h"

namespace lowbit {

struct InferenceOptions {
  /// Float operators give the bits of the reference executor; else the runtime's own fast ones may be used, which sum
  /// in another order.
  bool reference_float = true;
};

class Inference {
 public:
  /// `graph` and `threads` must outlive this. Throws Error{unsupported} listing every operator that cannot run.
  Inference(const Graph& graph, ThreadPool& threads, InferenceOptions options = {});
  ~Inference();

  /// Plans for the shapes of these inputs now, instead of at the first run.
  void prepare(const NamedTensors& inputs);
  /// Outputs in the order of the graph. Throws Error{bad_argument} naming an input that is missing or does not fit.
  std::vector<Tensor> run_ordered(const NamedTensors& inputs);
  /// Outputs by name.
  NamedTensors run(const NamedTensors& inputs);

  /// The session of the latest shapes, or null where the executor runs; why_not_planned() then says why.
  Session* session() { return session_.get(); }
  const std::string& why_not_planned() const { return why_; }

 private:
  std::vector<Tensor> ordered_inputs(const NamedTensors& inputs) const;

  const Graph& graph_;
  ThreadPool& threads_;
  InferenceOptions options_;
  std::shared_ptr<CompiledModel> model_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Executor> executor_;
  std::vector<Dims> dims_;
  std::string why_;
};

/// Inputs bound once, to run again and again into the same outputs: what a program that keeps its buffers pays.
class PreparedRun {
 public:
  /// `inference` must not run other shapes meanwhile.
  PreparedRun(Inference& inference, const NamedTensors& inputs);
  void operator()() const;

 private:
  Inference& inference_;
  NamedTensors inputs_;
  std::vector<Tensor> outputs_;
  std::vector<const void*> in_;
  std::vector<void*> out_;
};

}  // namespace lowbit
