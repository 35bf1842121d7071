// plan.h: a network lowered once for given input shapes to a static list of steps over one arena. A plan is immutable:
// any number of sessions run it at the same time, each with its own arena. Nothing is decided, allocated or locked
// while it runs (reference steps of the toolkit excepted, which say so in their note).
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"

namespace lowbit::plan {

/// Index into Plan::buffers.
using BufferId = int32_t;

/// Where a step finds bytes: RunContext::at(ref).
struct Ref {
  BufferId buffer = -1;
  int64_t offset = 0;  ///< bytes
};

/// How tasks are spread. `run` calls task(argument, i) for 0 <= i < n on any threads and returns when all are done.
struct Parallel {
  void (*run)(void* pool, void (*task)(void* argument, size_t i), void* argument, size_t n) = nullptr;
  void* pool = nullptr;
  int threads = 1;
};

/// What a step sees while it runs.
struct RunContext {
  std::byte* const* bases = nullptr;  ///< by buffer
  std::byte* scratch = nullptr;       ///< Plan::scratch_bytes for each chunk that runs at a time
  Parallel parallel;
  ThreadPool* threads = nullptr;        ///< for reference steps; may be null
  std::exception_ptr* error = nullptr;  ///< set by a reference step that failed; the run stops behind it

  std::byte* raw(Ref ref) const { return bases[ref.buffer] + ref.offset; }
  template <typename T>
  T* at(Ref ref) const {
    return reinterpret_cast<T*>(raw(ref));
  }
};

/// Runs the tasks [first, last) of a step. `scratch`: the step's own bytes, 64-byte aligned, of this chunk alone.
using TaskFn = void (*)(const void* params, const RunContext& context, int64_t first, int64_t last,
                        std::byte* scratch) noexcept;

/// One step: a function over plain parameters, cut into chunks of tasks.
struct PlanStep {
  TaskFn run = nullptr;
  const void* params = nullptr;
  int64_t tasks = 1;
  int32_t chunks = 1;  ///< 1: on the calling thread
};

/// What a step is, for reports.
struct StepDetails {
  std::string name, op;  ///< of the first node that it covers
  std::string kernel;    ///< "conv 3x3 uint8 x int8 -> uint8, avx2"
  std::string note;      ///< what else is worth knowing: what is fused, why it is a reference step
  bool integer = false;
  bool reference = false;  ///< runs the toolkit's reference, which may allocate
  int64_t macs = 0;        ///< multiply-adds of a run
  int64_t bytes = 0;       ///< weights, inputs and outputs
  std::vector<int32_t> nodes;
};

struct Buffer {
  enum class Kind : uint8_t { arena, constant, input, output };
  Kind kind = Kind::arena;
  int32_t index = 0;                    ///< of the input or output
  int64_t bytes = 0, arena_offset = 0;  ///< offset: arena only
  const std::byte* address = nullptr;   ///< constant only
};

/// An input or output as the caller passes it: dense, row-major, in the order of the graph.
struct Port {
  std::string name;
  DType dtype = DType::float32;
  Dims dims;
  size_t bytes() const;
};

struct Plan {
  std::vector<PlanStep> steps;
  std::vector<StepDetails> details;  ///< parallel to steps
  std::vector<Buffer> buffers;
  std::vector<Port> inputs, outputs;
  int64_t arena_bytes = 0;
  int64_t unshared_bytes = 0;  ///< what the arena would take if no bytes were used twice
  int64_t scratch_bytes = 0;   ///< of one chunk
  int32_t max_chunks = 1;
  int64_t weight_bytes = 0;  ///< packed weights and tables that the steps read

  /// Keeps parameters, packed weights and constants alive.
  std::vector<std::shared_ptr<const void>> owners;
};

/// Runs every step. bases: addresses by buffer. Returns false if a step failed (context.error tells why).
bool run_steps(const Plan& plan, const RunContext& context) noexcept;
/// Runs one step, for timing them one by one.
void run_step(const PlanStep& step, const Plan& plan, const RunContext& context) noexcept;

}  // namespace lowbit::plan
