#include "lowbit/runtime/executor.h"

#include <algorithm>
#include <chrono>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/ops/op.h"
#include "lowbit/runtime/step.h"

namespace lowbit {

Step lower_node(const LowerContext& context, int32_t n) {
  const Graph& graph = context.graph;
  const Node& node = graph.nodes[static_cast<size_t>(n)];
  const auto rows = step_table();
  const auto row = node.domain.empty()
                       ? std::find_if(rows.begin(), rows.end(), [&](const StepRow& r) { return r.op == node.op; })
                       : rows.end();
  const bool annotated =
      std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return context.linear(id) != nullptr; });
  std::string why;
  std::optional<Step> step;
  if (annotated && row != rows.end())
    step = row->make(context, n, why);
  else if (annotated)
    why = node.op + " has no integer form";
  if (!step) step = make_float_step(graph, n, annotated ? why : "");
  step->info.node = node.name;
  step->info.op = node.op;
  return std::move(*step);
}

void check_operators(const Graph& graph) {
  std::map<std::string, int> missing;
  for (const Node& node : graph.nodes) {
    const OpDef* op = find_op(node);
    if (!op || !op->reference) ++missing[printable(node.full_op(), 60)];
  }
  if (missing.empty()) return;
  std::vector<std::string> names;
  for (const auto& [name, count] : missing)
    names.push_back(fmt::format("{} ({} {})", name, count, count == 1 ? "node" : "nodes"));
  throw Error(ErrorCode::unsupported,
              "operators that cannot run here: " + join(names, ", ") + " (see: lowbit list ops)");
}

struct Executor::Impl {
  const Graph& graph;
  ThreadPool& threads;
  ExecutorOptions options;
  std::vector<Step> steps;
  std::vector<StepInfo> infos;
  std::vector<std::vector<ValueId>> released;  ///< by step: slots that nobody reads later
  std::vector<int64_t> clipped, seen;          ///< by value

  Impl(const Graph& g, ThreadPool& t, ExecutorOptions o) : graph(g), threads(t), options(std::move(o)) {
    check_operators(graph);
    lower();
    plan_releases();
    clipped.assign(graph.values.size(), 0);
    seen.assign(graph.values.size(), 0);
  }

  void lower() {
    const GraphIndex index(graph);
    const LowerContext context{graph, index};
    std::set<int32_t> covered;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const auto n = static_cast<int32_t>(i);
      if (covered.count(n)) continue;
      Step step = lower_node(context, n);
      covered.insert(step.nodes.begin(), step.nodes.end());
      infos.push_back(step.info);
      steps.push_back(std::move(step));
    }
  }

  void plan_releases() {
    std::vector<size_t> last(graph.values.size(), 0);
    for (size_t s = 0; s < steps.size(); ++s) {
      for (ValueId id : steps[s].inputs) last[static_cast<size_t>(id)] = s;
      for (ValueId id : steps[s].outputs) last[static_cast<size_t>(id)] = std::max(last[static_cast<size_t>(id)], s);
      for (int32_t n : steps[s].nodes)
        for (const auto& [key, attribute] : graph.nodes[static_cast<size_t>(n)].attributes)
          if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute))
            for (const auto& [outer, inner] : (*body)->captures) last[static_cast<size_t>(outer)] = s;
    }
    released.resize(steps.size());
    std::set<ValueId> kept(graph.outputs.begin(), graph.outputs.end());
    for (size_t v = 0; v < graph.values.size(); ++v)
      if (!kept.count(static_cast<ValueId>(v)) && !steps.empty()) released[last[v]].push_back(static_cast<ValueId>(v));
  }

  void report(ValueId id, const Tensor& tensor) {
    const auto& quantization = graph.value(id).quantization;
    const bool codes = quantization && !quantization->dynamic && !graph.value(id).constant;
    if (codes) seen[static_cast<size_t>(id)] += tensor.count();
    if (options.on_value) options.on_value(id, codes ? tensor.cast(DType::int32) : tensor, codes);
  }

  std::vector<Tensor> run(const NamedTensors& inputs) {
    std::vector<Tensor> slots(graph.values.size());
    Frame frame{graph, threads, slots, options.count_saturation ? &clipped : nullptr};
    for (ValueId id : graph.inputs) bind(id, inputs, frame);
    for (size_t s = 0; s < steps.size(); ++s) {
      const auto begin = std::chrono::steady_clock::now();
      try {
        steps[s].run(frame);
      } catch (const Error& error) {
        if (!error.where().empty() || error.code() == ErrorCode::internal) throw;
        throw Error(error.code(), error.message(), "node " + printable(infos[s].node));
      }
      if (options.on_time) {
        const auto time = std::chrono::steady_clock::now() - begin;
        options.on_time(graph.nodes[static_cast<size_t>(steps[s].nodes[0])],
                        std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
      }
      for (ValueId id : steps[s].outputs) report(id, slots[static_cast<size_t>(id)]);
      for (ValueId id : released[s]) slots[static_cast<size_t>(id)] = Tensor();
    }
    std::vector<Tensor> outputs;
    for (ValueId id : graph.outputs) outputs.push_back(output_value(id, slots[static_cast<size_t>(id)]));
    return outputs;
  }

  void bind(ValueId id, const NamedTensors& inputs, Frame& frame) {
    const Value& value = graph.value(id);
    const auto given = inputs.find(value.name);
    if (given == inputs.end())
      throw Error(ErrorCode::bad_argument, fmt::format("input '{}' is missing", printable(value.name)));
    check_input(value, given->second);
    const bool encoded = value.quantization && !value.quantization->dynamic;
    frame.set(id,
              encoded ? quantize_activation(*value.quantization, given->second, frame.clipped_at(id)) : given->second);
    report(id, frame.at(id));
  }

  Tensor output_value(ValueId id, const Tensor& slot) const {
    const Value& value = graph.value(id);
    if (value.constant) return is_annotated_constant(value) ? weight_values(value) : *value.constant;
    return value.quantization && !value.quantization->dynamic ? dequantize_activation(*value.quantization, slot) : slot;
  }
};

Executor::Executor(const Graph& graph, ThreadPool& threads, ExecutorOptions options)
    : impl_(std::make_unique<Impl>(graph, threads, std::move(options))) {}
Executor::~Executor() = default;

std::vector<Tensor> Executor::run_ordered(const NamedTensors& inputs) { return impl_->run(inputs); }

NamedTensors Executor::run(const NamedTensors& inputs) {
  std::vector<Tensor> outputs = impl_->run(inputs);
  NamedTensors named;
  for (size_t i = 0; i < outputs.size(); ++i)
    named[impl_->graph.value(impl_->graph.outputs[i]).name] = std::move(outputs[i]);
  return named;
}

const std::vector<StepInfo>& Executor::steps() const { return impl_->infos; }

std::map<std::string, double> Executor::saturation() const {
  std::map<std::string, double> shares;
  for (size_t v = 0; v < impl_->seen.size(); ++v)
    if (impl_->seen[v] > 0)
      shares[impl_->graph.values[v].name] =
          static_cast<double>(impl_->clipped[v]) / static_cast<double>(impl_->seen[v]);
  return shares;
}

}  // namespace lowbit
