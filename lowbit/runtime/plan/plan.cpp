#include "lowbit/runtime/plan/plan.h"

namespace lowbit::plan {
namespace {

/// What the chunks of one step share.
struct Chunks {
  const PlanStep& step;
  const Plan& plan;
  const RunContext& context;

  void run(size_t i) const noexcept {
    const auto index = static_cast<int64_t>(i);
    const int64_t first = step.tasks * index / step.chunks, last = step.tasks * (index + 1) / step.chunks;
    step.run(step.params, context, first, last, context.scratch + index * plan.scratch_bytes);
  }
};

}  // namespace

size_t Port::bytes() const { return static_cast<size_t>(element_count(dims)) * dtype_bytes(dtype); }

void run_step(const PlanStep& step, const Plan& plan, const RunContext& context) noexcept {
  if (step.chunks == 1) {
    step.run(step.params, context, 0, step.tasks, context.scratch);
    return;
  }
  Chunks chunks{step, plan, context};
  context.parallel.run(
      context.parallel.pool, [](void* argument, size_t i) { static_cast<const Chunks*>(argument)->run(i); }, &chunks,
      static_cast<size_t>(step.chunks));
}

bool run_steps(const Plan& plan, const RunContext& context) noexcept {
  for (const PlanStep& step : plan.steps) {
    run_step(step, plan, context);
    if (context.error && *context.error) return false;
  }
  return true;
}

}  // namespace lowbit::plan
