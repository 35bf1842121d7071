#include "lowbit/ops/evaluate.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/ops/accelerated.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

constexpr int kMaxDepth = 64;

std::string where(const Node& node) {
  return fmt::format("node '{}' ({})", printable(node.name), printable(node.full_op()));
}

/// One node as it will run.
struct Step {
  const OpDef* op;
  AcceleratedFn fast;
  std::vector<ValueId> dead;  ///< values that nobody reads after this node
};

struct Plan {
  std::vector<Step> steps;
};

/// The values of one running graph.
struct Frame {
  const Graph& graph;
  std::vector<Tensor> slots;

  explicit Frame(const Graph& g) : graph(g), slots(g.values.size()) {}
  /// Null if the value is not known (yet).
  const Tensor* find(ValueId id) const {
    const Tensor& slot = slots[static_cast<size_t>(id)];
    return slot.defined() ? &slot : graph.constant(id);
  }
};

std::vector<const Graph*> bodies_of(const Node& node) {
  std::vector<const Graph*> result;
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute))
      if (*body) result.push_back(body->get());
  return result;
}

/// Counts operators that cannot run, for one message that names them all.
class Unsupported {
 public:
  void add(const Node& node, const OpDef* op) {
    ++counts_[printable(node.full_op()) + (op ? " (can be inspected, not run)" : "")];
  }
  void throw_if_any() const {
    if (counts_.empty()) return;
    std::vector<std::string> parts;
    for (const auto& [name, count] : counts_) parts.push_back(fmt::format("{} ({}x)", name, count));
    throw Error(ErrorCode::unsupported,
                "operators that this build cannot run: " + join(parts, ", ") + " (see the list in docs/operators.md)");
  }

 private:
  std::map<std::string, int64_t> counts_;
};

void check_counts(const Node& node, const OpDef& op) {
  const auto inputs = static_cast<int64_t>(node.inputs.size()), outputs = static_cast<int64_t>(node.outputs.size());
  if (inputs < op.min_inputs || (op.max_inputs >= 0 && inputs > op.max_inputs))
    throw Error(ErrorCode::bad_file,
                fmt::format("{} inputs; the operator takes {} to {}", inputs, op.min_inputs,
                            op.max_inputs < 0 ? "any number" : std::to_string(op.max_inputs)),
                where(node));
  for (int i = 0; i < op.min_inputs; ++i)
    if (node.inputs[static_cast<size_t>(i)] == kNone)
      throw Error(ErrorCode::bad_file, fmt::format("input {} is left out, but must be there", i), where(node));
  if (outputs < op.min_outputs || (op.max_outputs >= 0 && outputs > op.max_outputs))
    throw Error(ErrorCode::bad_file,
                fmt::format("{} outputs; the operator has {} to {}", outputs, op.min_outputs,
                            op.max_outputs < 0 ? "any number" : std::to_string(op.max_outputs)),
                where(node));
}

/// For each node the values that it is the last to read (or that nobody reads).
void find_last_readers(const Graph& graph, Plan& plan) {
  constexpr int32_t kNever = std::numeric_limits<int32_t>::max();
  std::vector<int32_t> last(graph.values.size(), -1);
  const auto mark = [&](ValueId id, int32_t node) {
    if (id == kNone) return;
    LOWBIT_CHECK(id >= 0 && static_cast<size_t>(id) < last.size());
    last[static_cast<size_t>(id)] = node;
  };
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const auto index = static_cast<int32_t>(n);
    for (ValueId id : graph.nodes[n].inputs) mark(id, index);
    for (ValueId id : graph.nodes[n].outputs) mark(id, index);
    for (const Graph* body : bodies_of(graph.nodes[n]))
      for (const auto& [outer, inner] : body->captures) mark(outer, index);
  }
  for (ValueId id : graph.outputs) mark(id, kNever);
  for (size_t v = 0; v < last.size(); ++v)
    if (last[v] >= 0 && last[v] != kNever && !graph.values[v].constant)
      plan.steps[static_cast<size_t>(last[v])].dead.push_back(static_cast<ValueId>(v));
}

/// The outputs of one node; errors get the node's name.
std::vector<Tensor> run_step(EvalContext& context, const OpDef& op, AcceleratedFn fast) {
  const Node& node = context.node();
  try {
    if (!fast || !fast(context)) op.reference(context);
  } catch (const Error& error) {
    if (!error.where().empty()) throw;
    throw Error(error.code(), error.message(), where(node));
  }
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNone && !context.outputs()[i].defined())
      throw Error(ErrorCode::unsupported, fmt::format("output {} is not computed by this build", i), where(node));
  return std::move(context.outputs());
}

}  // namespace

void check_input(const Value& value, const Tensor& given) {
  const auto fits = [&] {
    if (value.dtype != DType::undefined && value.dtype != given.dtype()) return false;
    if (!value.shape) return true;
    if (value.shape->size() != given.dims().size()) return false;
    for (size_t i = 0; i < given.dims().size(); ++i)
      if ((*value.shape)[i].known() && *(*value.shape)[i].size != given.dims()[i]) return false;
    return true;
  };
  if (fits()) return;
  throw Error(
      ErrorCode::bad_argument,
      fmt::format("input '{}' was given as {} {}, expected {} {}", printable(value.name), dtype_name(given.dtype()),
                  dims_text(given.dims()), value.dtype == DType::undefined ? "any type" : dtype_name(value.dtype),
                  value.shape ? shape_text(*value.shape) : "of any shape"));
}

struct Evaluator::Impl {
  const Graph& graph;
  ThreadPool& threads;
  EvaluateOptions options;
  std::unordered_map<const Graph*, Plan> plans;

  void prepare(const Graph& part, Unsupported& missing, int depth) {
    if (depth > kMaxDepth)
      throw Error(ErrorCode::bad_file, fmt::format("subgraphs are nested deeper than {} levels", kMaxDepth));
    if (plans.count(&part)) return;
    Plan& plan = plans[&part];
    for (const Node& node : part.nodes) {
      const OpDef* op = find_op(node);
      if (!op || !op->reference)
        missing.add(node, op);
      else
        check_counts(node, *op);
      plan.steps.push_back({op, op && options.accelerated ? find_accelerated(*op) : nullptr, {}});
    }
    find_last_readers(part, plan);
    for (const Node& node : part.nodes)
      for (const Graph* body : bodies_of(node)) prepare(*body, missing, depth + 1);
  }

  void report(Frame& frame, ValueId id) {
    if (!options.on_value || id == kNone) return;
    Tensor& tensor = frame.slots[static_cast<size_t>(id)];
    const DType type = tensor.dtype();
    const Dims dims = tensor.dims();
    options.on_value(frame.graph, id, tensor);
    LOWBIT_CHECK(tensor.dtype() == type && tensor.dims() == dims);
  }

  std::vector<Tensor> run_node(const Node& node, const Step& step, const Frame& frame) {
    std::vector<const Tensor*> inputs;
    for (ValueId id : node.inputs) {
      inputs.push_back(id == kNone ? nullptr : frame.find(id));
      if (id != kNone && !inputs.back())
        throw Error(ErrorCode::bad_file,
                    fmt::format("reads '{}', which nothing has computed", printable(frame.graph.value(id).name)),
                    where(node));
    }
    if (options.run_node) {
      std::vector<Tensor> outputs(node.outputs.size());
      if (options.run_node(frame.graph, node, inputs, outputs)) return outputs;
    }
    EvalContext context(node, std::move(inputs), threads);
    context.run_subgraph = [&](const Graph& body, std::vector<Tensor> given) {
      return run_graph(body, std::move(given), &frame);
    };
    return run_step(context, *step.op, step.fast);
  }

  std::vector<Tensor> run_graph(const Graph& part, std::vector<Tensor> inputs, const Frame* outer) {
    if (inputs.size() != part.inputs.size())
      throw Error(ErrorCode::bad_file, fmt::format("subgraph '{}' has {} inputs, but is given {}", printable(part.name),
                                                   part.inputs.size(), inputs.size()));
    const Plan& plan = plans.at(&part);
    Frame frame(part);
    if (outer)
      for (const auto& [from, to] : part.captures)
        if (const Tensor* captured = outer->find(from)) frame.slots[static_cast<size_t>(to)] = *captured;
    for (size_t i = 0; i < inputs.size(); ++i) {
      frame.slots[static_cast<size_t>(part.inputs[i])] = std::move(inputs[i]);
      report(frame, part.inputs[i]);
    }
    for (size_t n = 0; n < part.nodes.size(); ++n) {
      const Node& node = part.nodes[n];
      const auto start = std::chrono::steady_clock::now();
      std::vector<Tensor> outputs = run_node(node, plan.steps[n], frame);
      if (options.on_time)
        options.on_time(node, std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
      for (size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i] == kNone) continue;
        frame.slots[static_cast<size_t>(node.outputs[i])] = std::move(outputs[i]);
        report(frame, node.outputs[i]);
      }
      for (ValueId id : plan.steps[n].dead) frame.slots[static_cast<size_t>(id)] = Tensor();
    }
    std::vector<Tensor> results;
    for (ValueId id : part.outputs) {
      const Tensor* result = id == kNone ? nullptr : frame.find(id);
      if (!result) throw Error(ErrorCode::bad_file, "an output of the graph is computed by no node");
      results.push_back(*result);
    }
    return results;
  }
};

Evaluator::Evaluator(const Graph& graph, ThreadPool& threads, EvaluateOptions options)
    : impl_(new Impl{graph, threads, std::move(options), {}}) {
  Unsupported missing;
  impl_->prepare(graph, missing, 0);
  missing.throw_if_any();
}

Evaluator::~Evaluator() = default;

std::vector<Tensor> Evaluator::run_ordered(const NamedTensors& inputs) {
  const Graph& graph = impl_->graph;
  std::vector<Tensor> ordered;
  std::vector<std::string> names;
  for (ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    names.push_back(value.name);
    const auto found = inputs.find(value.name);
    if (found == inputs.end())
      throw Error(ErrorCode::bad_argument,
                  fmt::format("input '{}' is not given; expected {} {}", printable(value.name), dtype_name(value.dtype),
                              value.shape ? shape_text(*value.shape) : "of any shape"));
    check_input(value, found->second);
    ordered.push_back(found->second);
  }
  for (const auto& [name, tensor] : inputs)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw Error(ErrorCode::bad_argument, fmt::format("the model has no input '{}' (its inputs: {})", printable(name),
                                                       printable(join(names, ", "))));
  return impl_->run_graph(graph, std::move(ordered), nullptr);
}

NamedTensors Evaluator::run(const NamedTensors& inputs) {
  std::vector<Tensor> outputs = run_ordered(inputs);
  NamedTensors named;
  for (size_t i = 0; i < outputs.size(); ++i)
    named[impl_->graph.value(impl_->graph.outputs[i]).name] = std::move(outputs[i]);
  return named;
}

std::vector<Tensor> evaluate_node(const Node& node, const std::vector<const Tensor*>& inputs, ThreadPool& threads,
                                  bool accelerated) {
  const OpDef* op = find_op(node);
  if (!op || !op->reference) {
    Unsupported missing;
    missing.add(node, op);
    missing.throw_if_any();
  }
  EvalContext context(node, inputs, threads);
  return run_step(context, *op, accelerated ? find_accelerated(*op) : nullptr);
}

}  // namespace lowbit
