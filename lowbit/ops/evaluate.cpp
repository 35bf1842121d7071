#include "lowbit/ops/evaluate.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/offload.h"
#include "lowbit/ops/accelerated.h"
#include "lowbit/ops/channels_last.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

constexpr int kMaxDepth = 64;
/// A network whose loops have not ended by then is taken for one that never ends.
constexpr int64_t kMaxSubgraphRuns = 1'000'000;

std::string where(const Node& node) {
  return fmt::format("node '{}' ({})", printable(node.name), printable(node.full_op()));
}

/// One node as it will run.
struct Step {
  const OpDef* op;
  const AcceleratedRow* fast;
  std::vector<ValueId> dead;  ///< values that nobody reads after this node
  int32_t relu = -1;          ///< the node that only applies Relu to the result, if `fast` can do so
};

struct Plan {
  std::vector<Step> steps;
};

/// The values of one running graph.
struct Frame {
  const Graph& graph;
  std::vector<Tensor> slots;
  std::vector<char> last;  ///< by value: kept as [N, H, W, C]

  explicit Frame(const Graph& g) : graph(g), slots(g.values.size()), last(g.values.size()) {}
  /// Null if the value is not known (yet).
  const Tensor* find(ValueId id) const {
    const Tensor& slot = slots[static_cast<size_t>(id)];
    return slot.defined() ? &slot : graph.constant(id);
  }
  bool is_last(ValueId id) const { return id != kNone && last[static_cast<size_t>(id)]; }
  void set(ValueId id, Tensor tensor, bool channels_last) {
    slots[static_cast<size_t>(id)] = std::move(tensor);
    last[static_cast<size_t>(id)] = channels_last;
  }
  /// Brings a value into the order that ONNX means.
  void make_plain(ValueId id, ThreadPool& threads) {
    if (is_last(id)) set(id, to_channels_first(slots[static_cast<size_t>(id)], threads), false);
  }
};

/// What a node gave.
struct Results {
  std::vector<Tensor> tensors;
  bool channels_last = false;
  bool relu = false;  ///< the Relu behind it is applied as well
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

/// The Relu nodes that a fast version applies to its result, since nothing else reads that and nobody looks at it.
template <typename Observed>
void find_joined_relus(const Graph& graph, Plan& plan, Observed observed) {
  const auto uses = graph.uses();
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    Step& step = plan.steps[n];
    if (!step.fast || !step.fast->relu || node.outputs.size() != 1 || node.outputs[0] == kNone) continue;
    const ValueId result = node.outputs[0];
    const auto& readers = uses[static_cast<size_t>(result)];
    if (readers.size() != 1 || readers[0].position < 0 || graph.is_output(result) || observed(result)) continue;
    const Node& reader = graph.nodes[static_cast<size_t>(readers[0].node)];
    if (reader.is("Relu") && reader.outputs.size() == 1) step.relu = readers[0].node;
  }
}

/// Whether a convolution is worth reordering its input for: a product with a 1x1 kernel is fast as it is.
bool gains_by_reordering(const Node& node, const std::vector<const Tensor*>& inputs) {
  if (!node.is("Conv") || inputs.size() < 2 || !inputs[1] || inputs[1]->rank() != 4) return false;
  return inputs[1]->dim(2) * inputs[1]->dim(3) > 1;
}

/// Whether a node computes the same whatever the order of the elements, if it is the same for all inputs.
bool takes_any_order(const Step& step, const std::vector<const Tensor*>& inputs) {
  if (step.op->kind != OpKind::elementwise) return false;
  return std::all_of(inputs.begin(), inputs.end(),
                     [](const Tensor* x) { return !x || (x->rank() <= 4 && x->dtype() != DType::string); });
}

/// The outputs of one node; errors get the node's name. Applies the Relu behind it if context.relu says so.
std::vector<Tensor> run_step(FastContext& context, const OpDef& op, const AcceleratedRow* fast) {
  const Node& node = context.node();
  try {
    if (!fast || !fast->run(context)) {
      context.relu = false;
      op.reference(context);
    }
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
  int64_t subgraph_runs = 0;  ///< of this run of the whole graph

  /// Whether nobody can tell how values are kept between nodes.
  bool is_free() const { return options.accelerated && !options.on_value && !options.run_node && !options.on_time; }
  bool is_observed(const Graph& part, ValueId id) const {
    return options.on_observed && id != kNone && (!options.observed || options.observed(part, id));
  }

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
      plan.steps.push_back({op, op && options.accelerated ? find_accelerated(*op) : nullptr, {}, -1});
    }
    find_last_readers(part, plan);
    if (is_free()) find_joined_relus(part, plan, [&](ValueId id) { return is_observed(part, id); });
    for (const Node& node : part.nodes)
      for (const Graph* body : bodies_of(node)) prepare(*body, missing, depth + 1);
  }

  void report(Frame& frame, ValueId id) {
    if (id == kNone) return;
    Tensor& tensor = frame.slots[static_cast<size_t>(id)];
    if (is_observed(frame.graph, id)) options.on_observed(frame.graph, id, tensor, frame.is_last(id));
    if (!options.on_value) return;
    const DType type = tensor.dtype();
    const Dims dims = tensor.dims();
    options.on_value(frame.graph, id, tensor);
    LOWBIT_CHECK(tensor.dtype() == type && tensor.dims() == dims);
  }

  /// The fast version on [N, H, W, C], if there is one and the input is kept so or is worth reordering.
  std::optional<Results> run_fast_last(const Node& node, const Step& step, const Frame& frame,
                                       std::vector<const Tensor*> inputs) {
    if (!inputs[0] || inputs[0]->rank() != 4 || inputs[0]->dtype() != DType::float32) return std::nullopt;
    Tensor reordered;
    if (!frame.is_last(node.inputs[0])) {
      if (!gains_by_reordering(node, inputs)) return std::nullopt;
      reordered = to_channels_last(*inputs[0], threads);
      inputs[0] = &reordered;
    }
    FastContext context(node, std::move(inputs), threads);
    context.channels_last = true;
    context.relu = step.relu >= 0;
    try {
      if (!step.fast->run(context)) return std::nullopt;
    } catch (const Error& error) {
      if (!error.where().empty()) throw;
      throw Error(error.code(), error.message(), where(node));
    }
    return Results{std::move(context.outputs()), true, context.relu};
  }

  /// Operators that do not care for the order of elements, on [N, H, W, C] as soon as one input is kept so.
  std::optional<Results> run_any_order_last(const Node& node, const Step& step, const Frame& frame,
                                            std::vector<const Tensor*> inputs) {
    std::vector<Tensor> reordered(inputs.size());
    bool any = false;
    for (ValueId id : node.inputs) any = any || frame.is_last(id);
    if (!any) return std::nullopt;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i] || frame.is_last(node.inputs[i]) || inputs[i]->count() == 1) continue;
      reordered[i] = to_channels_last(*inputs[i], threads);
      inputs[i] = &reordered[i];
    }
    FastContext context(node, std::move(inputs), threads);
    context.relu = step.relu >= 0;
    std::vector<Tensor> outputs = run_step(context, *step.op, step.fast);
    return Results{std::move(outputs), true, context.relu};
  }

  std::optional<Results> run_channels_last(const Node& node, const Step& step, const Frame& frame,
                                           const std::vector<const Tensor*>& inputs) {
    if (inputs.empty() || node.outputs.size() != 1) return std::nullopt;
    if (step.fast && step.fast->channels_last) return run_fast_last(node, step, frame, inputs);
    if (takes_any_order(step, inputs)) return run_any_order_last(node, step, frame, inputs);
    return std::nullopt;
  }

  void make_plain(const Node& node, Frame& frame) {
    for (ValueId id : node.inputs) frame.make_plain(id, threads);
    for (const Graph* body : bodies_of(node))
      for (const auto& [outer, inner] : body->captures) frame.make_plain(outer, threads);
  }

  Results run_node(const Node& node, const Step& step, Frame& frame) {
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
      if (options.run_node(frame.graph, node, inputs, outputs)) return {std::move(outputs)};
    }
    if (is_free()) {
      if (auto results = run_channels_last(node, step, frame, inputs)) return std::move(*results);
      make_plain(node, frame);
    }
    FastContext context(node, std::move(inputs), threads);
    context.relu = step.relu >= 0;
    context.run_subgraph = [&](const Graph& body, std::vector<Tensor> given) {
      if (++subgraph_runs > kMaxSubgraphRuns)
        throw Error(ErrorCode::unsupported,
                    fmt::format("loops of more than {} iterations in one run", kMaxSubgraphRuns), where(node));
      return run_graph(body, std::move(given), &frame);
    };
    std::vector<Tensor> outputs = run_step(context, *step.op, step.fast);
    return {std::move(outputs), false, context.relu};
  }

  /// Runs the node and stores what it gave; a Relu that was applied with it is marked in `done`.
  void run_and_store(const Plan& plan, size_t n, Frame& frame, std::vector<char>& done) {
    const Node& node = frame.graph.nodes[n];
    const auto start = std::chrono::steady_clock::now();
    Results results = run_node(node, plan.steps[n], frame);
    if (options.on_time)
      options.on_time(node, std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
    if (options.rest_weights)
      for (ValueId id : node.inputs)
        if (const Tensor* weight = frame.graph.constant(id)) rest_pages(*weight);
    const auto relu = static_cast<size_t>(results.relu ? plan.steps[n].relu : 0);
    if (results.relu) done[relu] = 1;
    const std::vector<ValueId>& outputs = results.relu ? frame.graph.nodes[relu].outputs : node.outputs;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] == kNone) continue;
      frame.set(outputs[i], std::move(results.tensors[i]), results.channels_last);
      report(frame, outputs[i]);
    }
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
    std::vector<char> done(part.nodes.size());
    for (size_t n = 0; n < part.nodes.size(); ++n) {
      if (!done[n]) run_and_store(plan, n, frame, done);
      for (ValueId id : plan.steps[n].dead) frame.set(id, Tensor(), false);
    }
    std::vector<Tensor> results;
    for (ValueId id : part.outputs) {
      if (id != kNone) frame.make_plain(id, threads);
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
  impl_->subgraph_runs = 0;
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
  FastContext context(node, inputs, threads);
  return run_step(context, *op, accelerated ? find_accelerated(*op) : nullptr);
}

}  // namespace lowbit
