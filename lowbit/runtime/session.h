// session.h: running a model by static plans. A CompiledModel holds what sessions share (the graph, packed weights,
// plans by input shape); a Session owns an arena and runs one plan at a time. Nothing is allocated, locked or thrown
// inside run() unless a step says that it is a reference step (docs/runtime.md).
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/runtime/plan/builder.h"
#include "lowbit/runtime/plan/plan.h"

namespace lowbit {

/// What a plan may use besides its own steps. The toolkit fills it with toolkit_steps() of reference_steps.h; the small
/// runtime leaves it empty.
struct ExtraSteps {
  plan::Factory fallback = nullptr;
  plan::TableMaker table = nullptr;
};

/// A model with everything that its sessions share. Thread-safe.
class CompiledModel {
 public:
  /// `graph` must not change any more.
  explicit CompiledModel(std::shared_ptr<const Graph> graph, ExtraSteps extra = {});
  /// With packed weights at hand: `graph` may lack the elements of weights->sources(), which they were made from.
  /// `load` reads the whole graph, for other dims than the default ones and where an entry turns out to be missing.
  CompiledModel(std::shared_ptr<const Graph> graph, std::shared_ptr<plan::WeightStore> weights,
                std::function<std::shared_ptr<const Graph>()> load, ExtraSteps extra = {});

  const Graph& graph() const { return *graph_; }
  const std::shared_ptr<plan::WeightStore>& weights() const { return weights_; }

  /// The dims to plan for where the caller names none: those of the graph, free ones 1.
  std::vector<Dims> default_dims() const;

  /// The plan for these input dims, made at the first call and kept (the latest kPlans). Throws Error{bad_argument} if
  /// the dims do not fit the graph's inputs, Error{unsupported} naming the nodes that no step runs.
  std::shared_ptr<const plan::Plan> plan(const std::vector<Dims>& dims, int threads, bool reference_float);

  static constexpr size_t kPlans = 16;

 private:
  struct Entry {
    std::vector<Dims> dims;
    int threads;
    bool reference_float;
    std::shared_ptr<const plan::Plan> plan;
  };
  void check_dims(const std::vector<Dims>& dims) const;

  std::shared_ptr<const plan::Plan> build(const std::vector<Dims>& dims, plan::PlanOptions options);

  std::shared_ptr<const Graph> graph_;
  std::shared_ptr<plan::WeightStore> weights_;
  std::function<std::shared_ptr<const Graph>()> load_;
  std::shared_ptr<const Graph> loaded_;
  ExtraSteps extra_;
  std::mutex mutex_;
  std::vector<Entry> plans_;  ///< latest last
};

struct SessionOptions {
  /// 1 ... kMostThreads, the caller's included. Error{bad_argument} otherwise.
  int threads = 1;
  /// A pool to run on instead of an own one: `threads` is its size. It must outlive the session.
  ThreadPool* pool = nullptr;
  /// The caller's own kind of pool; `threads` says over how many chunks work is spread.
  plan::Parallel parallel;
  /// Only steps with the bits of the reference executor, also in float.
  bool reference_float = false;

  static constexpr int kMostThreads = 256;
};

class Session {
 public:
  /// Plans for the default dims. Throws as CompiledModel::plan(), and Error{out_of_memory}.
  Session(std::shared_ptr<CompiledModel> model, SessionOptions options = {});
  /// Plans for these input dims.
  Session(std::shared_ptr<CompiledModel> model, SessionOptions options, const std::vector<Dims>& dims);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Plans for other input dims (kept plans are found again).
  void set_dims(const std::vector<Dims>& dims);

  const plan::Plan& plan() const { return *plan_; }
  const std::vector<plan::Port>& inputs() const { return plan_->inputs; }
  const std::vector<plan::Port>& outputs() const { return plan_->outputs; }
  /// Arena, scratch and tables of addresses: what this session takes besides the shared weights.
  size_t memory_bytes() const;

  /// Runs once. inputs, outputs: one buffer per port, dense, row-major, aligned to its element. Inputs are not written;
  /// outputs must not overlap anything. Throws Error{bad_argument} for a null, misaligned or missing buffer, and what a
  /// reference step throws.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs);

  /// Called after each step with its index and nanoseconds; empty: not timed.
  std::function<void(size_t step, int64_t nanoseconds)> on_time;

 private:
  void adopt(std::shared_ptr<const plan::Plan> plan);
  void check(std::span<const void* const> inputs, std::span<void* const> outputs) const;

  std::shared_ptr<CompiledModel> model_;
  SessionOptions options_;
  std::unique_ptr<ThreadPool> own_pool_;
  ThreadPool* pool_ = nullptr;
  std::shared_ptr<const plan::Plan> plan_;
  std::shared_ptr<std::byte> memory_;
  size_t memory_bytes_ = 0;
  std::vector<std::byte*> bases_;
  plan::RunContext context_;
};

}  // namespace lowbit
