#include "lowbit/runtime/session.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit {
namespace {

/// The pool of the session behind the plain interface of plans.
void run_on_pool(void* pool, void (*task)(void* argument, size_t i), void* argument, size_t n) {
  static_cast<ThreadPool*>(pool)->parallel_for(static_cast<int64_t>(n),
                                               [task, argument](int64_t i) { task(argument, static_cast<size_t>(i)); });
}

}  // namespace

CompiledModel::CompiledModel(std::shared_ptr<const Graph> graph, ExtraSteps extra)
    : graph_(std::move(graph)), weights_(std::make_shared<plan::WeightStore>()), extra_(extra) {}

CompiledModel::CompiledModel(std::shared_ptr<const Graph> graph, std::shared_ptr<plan::WeightStore> weights,
                             std::function<std::shared_ptr<const Graph>()> load, ExtraSteps extra)
    : graph_(std::move(graph)), weights_(std::move(weights)), load_(std::move(load)), extra_(extra) {}

std::shared_ptr<const plan::Plan> CompiledModel::build(const std::vector<Dims>& dims, plan::PlanOptions options) {
  const std::set<std::string> absent = load_ ? weights_->sources() : std::set<std::string>{};
  if (!load_ || (!options.reference_float && dims == default_dims())) {
    try {
      options.absent = &absent;
      return plan::Builder(*graph_, dims, weights_, options).build();
    } catch (const plan::AbsentConstant&) {
      LOWBIT_CHECK(load_ != nullptr);
    }
  }
  if (!loaded_) loaded_ = load_();
  options.absent = nullptr;
  return plan::Builder(*loaded_, dims, weights_, options).build();
}

std::vector<Dims> CompiledModel::default_dims() const {
  std::vector<Dims> result;
  for (const ValueId id : graph_->inputs) {
    const Value& value = graph_->value(id);
    if (!value.shape)
      throw Error(ErrorCode::unsupported,
                  fmt::format("input '{}' has no known rank (name its dimensions)", printable(value.name, 80)));
    Dims dims;
    for (const Dim& dim : *value.shape) dims.push_back(dim.known() ? *dim.size : 1);
    result.push_back(std::move(dims));
  }
  return result;
}

void CompiledModel::check_dims(const std::vector<Dims>& dims) const {
  if (dims.size() != graph_->inputs.size())
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} input shapes for a model of {} inputs", dims.size(), graph_->inputs.size()));
  for (size_t i = 0; i < dims.size(); ++i) {
    const Value& value = graph_->value(graph_->inputs[i]);
    const auto& shape = value.shape;
    bool fits = !shape || shape->size() == dims[i].size();
    for (size_t d = 0; fits && d < dims[i].size(); ++d)
      fits = dims[i][d] > 0 && (!shape || !(*shape)[d].known() || *(*shape)[d].size == dims[i][d]);
    if (!fits)
      throw Error(ErrorCode::bad_argument,
                  fmt::format("input '{}' was given the shape {}, the model expects {} (every dimension at least 1)",
                              printable(value.name, 80), dims_text(dims[i]),
                              shape ? printable(shape_text(*shape), 100) : "any"));
  }
}

std::shared_ptr<const plan::Plan> CompiledModel::plan(const std::vector<Dims>& dims, int threads,
                                                      bool reference_float) {
  check_dims(dims);
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : plans_)
    if (entry.dims == dims && entry.threads == threads && entry.reference_float == reference_float) return entry.plan;
  const plan::PlanOptions options{threads, reference_float, extra_.fallback, extra_.table};
  std::shared_ptr<const plan::Plan> made;
  try {
    made = build(dims, options);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, "no memory for the plan of the model");
  }
  if (plans_.size() == kPlans) plans_.erase(plans_.begin());
  plans_.push_back({dims, threads, reference_float, made});
  return made;
}

Session::Session(std::shared_ptr<CompiledModel> model, SessionOptions options)
    : Session(model, options, model->default_dims()) {}

Session::Session(std::shared_ptr<CompiledModel> model, SessionOptions options, const std::vector<Dims>& dims)
    : model_(std::move(model)), options_(options) {
  if (options_.pool) options_.threads = options_.pool->size();
  if (options_.threads < 1 || options_.threads > SessionOptions::kMostThreads)
    throw Error(ErrorCode::bad_argument, fmt::format("{} threads were asked for; 1 to {} are possible",
                                                     options_.threads, SessionOptions::kMostThreads));
  pool_ = options_.pool;
  if (!pool_ && !options_.parallel.run && options_.threads > 1) {
    own_pool_ = std::make_unique<ThreadPool>(options_.threads);
    pool_ = own_pool_.get();
    options_.threads = pool_->size();
  }
  if (pool_) options_.parallel = {run_on_pool, pool_, options_.threads};
  set_dims(dims);
}

Session::~Session() = default;

void Session::set_dims(const std::vector<Dims>& dims) {
  adopt(model_->plan(dims, options_.threads, options_.reference_float));
}

void Session::adopt(std::shared_ptr<const plan::Plan> plan) {
  const auto scratch = plan->scratch_bytes * plan->max_chunks;
  const auto arena = (plan->arena_bytes + 63) / 64 * 64;
  const size_t bytes = static_cast<size_t>(arena + scratch);
  if (bytes > memory_bytes_) {
    memory_ = plan::allocate_aligned(bytes);  // throws before anything has changed
    memory_bytes_ = bytes;
  }
  plan_ = std::move(plan);
  bases_.assign(plan_->buffers.size(), nullptr);
  for (size_t i = 0; i < bases_.size(); ++i) {
    const plan::Buffer& buffer = plan_->buffers[i];
    if (buffer.kind == plan::Buffer::Kind::arena) bases_[i] = memory_.get() + buffer.arena_offset;
    // Steps only read constants; one table of addresses serves reading and writing.
    if (buffer.kind == plan::Buffer::Kind::constant) bases_[i] = const_cast<std::byte*>(buffer.address);
  }
  context_.bases = bases_.data();
  context_.scratch = memory_.get() + arena;
  context_.parallel = options_.parallel;
}

size_t Session::memory_bytes() const { return memory_bytes_ + bases_.size() * sizeof(std::byte*); }

void Session::check(std::span<const void* const> inputs, std::span<void* const> outputs) const {
  if (inputs.size() != plan_->inputs.size() || outputs.size() != plan_->outputs.size())
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} input and {} output buffers were given; the model has {} and {}", inputs.size(),
                            outputs.size(), plan_->inputs.size(), plan_->outputs.size()));
  const auto check_one = [](const void* data, const plan::Port& port, const char* what) {
    if (data && reinterpret_cast<uintptr_t>(data) % std::max<size_t>(dtype_bytes(port.dtype), 1) == 0) return;
    throw Error(ErrorCode::bad_argument,
                fmt::format("the buffer of {} '{}' is {} (it must be aligned to {} bytes)", what,
                            printable(port.name, 80), data ? "misaligned" : "null", dtype_bytes(port.dtype)));
  };
  for (size_t i = 0; i < inputs.size(); ++i) check_one(inputs[i], plan_->inputs[i], "input");
  for (size_t i = 0; i < outputs.size(); ++i) check_one(outputs[i], plan_->outputs[i], "output");
}

void Session::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  check(inputs, outputs);
  for (size_t i = 0; i < bases_.size(); ++i) {
    const plan::Buffer& buffer = plan_->buffers[i];
    const auto index = static_cast<size_t>(buffer.index);
    if (buffer.kind == plan::Buffer::Kind::input) bases_[i] = static_cast<std::byte*>(const_cast<void*>(inputs[index]));
    if (buffer.kind == plan::Buffer::Kind::output) bases_[i] = static_cast<std::byte*>(outputs[index]);
  }
  std::exception_ptr error;
  plan::RunContext context = context_;
  context.error = &error;
  context.threads = pool_;
  if (!on_time) {
    plan::run_steps(*plan_, context);
  } else {
    for (size_t s = 0; s < plan_->steps.size() && !error; ++s) {
      const auto begin = std::chrono::steady_clock::now();
      plan::run_step(plan_->steps[s], *plan_, context);
      on_time(s, std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count());
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace lowbit
