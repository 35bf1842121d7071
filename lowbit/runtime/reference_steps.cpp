#include "lowbit/runtime/reference_steps.h"

#include <cstring>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/ops/op.h"
#include "lowbit/runtime/lookup.h"

namespace lowbit {
namespace {

using plan::Builder;
using plan::View;

/// Shape inference of one node whose input dims are all known.
class ConcreteInference : public InferContext {
 public:
  ConcreteInference(const Builder& builder, const Node& node) : builder_(builder), node_(node) {
    shapes_.resize(node.inputs.size());
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i] != kNone) shapes_[i] = to_shape(builder.dims(node.inputs[i]));
    outputs_.resize(node.outputs.size());
  }
  struct Output {
    DType dtype = DType::undefined;
    std::optional<Shape> shape;
  };
  const Output& output(size_t i) const { return outputs_[i]; }

  const Node& node() const override { return node_; }
  bool has_input(size_t i) const override { return node_.input(i) != kNone; }
  DType input_dtype(size_t i) const override {
    if (!has_input(i)) return DType::undefined;
    const Tensor* known = builder_.known(node_.input(i));
    const Value& value = builder_.graph().value(node_.input(i));
    return known && !holds_codes(value) ? known->dtype() : value.dtype;  // codes are read as what they stand for
  }
  const Shape* input_shape(size_t i) const override { return has_input(i) ? &shapes_[i] : nullptr; }
  const Tensor* input_constant(size_t i) const override { return builder_.known(node_.input(i)); }
  std::optional<std::vector<Dim>> input_dims(size_t i) const override {
    const Tensor* known = builder_.known(node_.input(i));
    if (!known || known->rank() > 1 || known->count() > 1024 || !is_integer(known->dtype())) return std::nullopt;
    std::vector<Dim> dims;
    for (const int64_t n : to_int64(*known)) dims.emplace_back(n);
    return dims;
  }
  void set_output(size_t i, DType type, std::optional<Shape> shape) override {
    if (i < outputs_.size()) outputs_[i] = {type, std::move(shape)};
  }
  void set_output_dims(size_t, std::vector<Dim>) override {}

 private:
  const Builder& builder_;
  const Node& node_;
  std::vector<Shape> shapes_;
  std::vector<Output> outputs_;
};

struct Slot {
  ValueId id;
  DType dtype;
  Dims dims;
  plan::Ref ref;
  std::optional<Tensor> known;
};

struct ReferenceParams {
  const Graph* graph;
  Step step;
  std::vector<Slot> inputs, outputs;

  void run(const plan::RunContext& context) const {
    std::vector<Tensor> slots(graph->values.size());
    std::unique_ptr<ThreadPool> own;
    if (!context.threads) own = std::make_unique<ThreadPool>(1);
    Frame frame{*graph, own ? *own : *context.threads, slots, nullptr};
    for (const Slot& slot : inputs) {
      const Bytes bytes(context.raw(slot.ref), static_cast<size_t>(element_count(slot.dims)) * dtype_bytes(slot.dtype));
      frame.set(slot.id, slot.known ? *slot.known : Tensor::view(slot.dtype, slot.dims, bytes, nullptr));
    }
    step.run(frame);
    for (const Slot& slot : outputs) {
      const Tensor& made = frame.at(slot.id);
      if (made.dtype() != slot.dtype || made.dims() != slot.dims)
        throw Error(ErrorCode::internal,
                    fmt::format("node '{}' made {}[{}], planned was {}[{}]", printable(step.info.node, 80),
                                dtype_name(made.dtype()), dims_text(made.dims()), dtype_name(slot.dtype),
                                dims_text(slot.dims)));
      std::memcpy(context.raw(slot.ref), made.raw().data(), made.byte_size());
    }
  }
};

void run_reference(const void* raw, const plan::RunContext& context, int64_t, int64_t, std::byte*) noexcept {
  const auto& p = *static_cast<const ReferenceParams*>(raw);
  try {
    p.run(context);
  } catch (const Error& error) {
    if (!error.where().empty() || error.code() == ErrorCode::internal)
      *context.error = std::current_exception();
    else
      *context.error =
          std::make_exception_ptr(Error(error.code(), error.message(), "node " + printable(p.step.info.node)));
  } catch (...) {
    *context.error = std::current_exception();
  }
}

bool coded(const Value& value) { return value.quantization && !value.quantization->dynamic; }

/// Runs a node whose inputs are all known; its outputs become known.
bool fold(Builder& builder, const Node& node, const Step& step) {
  const OpDef* op = find_op(node);
  if (!op || op->nondeterministic || op->kind == OpKind::control || step.nodes.size() != 1) return false;
  for (const ValueId id : node.inputs)
    if (id != kNone && (!builder.known(id) || coded(builder.graph().value(id)))) return false;
  for (const ValueId id : node.outputs)
    if (id != kNone && coded(builder.graph().value(id))) return false;
  std::vector<const Tensor*> inputs;
  for (const ValueId id : node.inputs) inputs.push_back(builder.known(id));
  ThreadPool one(1);
  const std::vector<Tensor> outputs = evaluate_node(node, inputs, one);
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNone) builder.set_known(node.outputs[i], outputs[i]);
  return true;
}

/// Type and dims of what the step writes, or nothing if they depend on data.
std::optional<std::pair<DType, Dims>> output_form(const Builder& builder, const Step& step, ValueId id) {
  const Value& value = builder.graph().value(id);
  for (const int32_t n : step.nodes) {
    const Node& node = builder.node(n);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      // A fused activation has the dims of the layer's result, which is the first node's.
      if (node.outputs[i] != id && !(step.nodes.size() > 1 && n == step.nodes[0])) continue;
      ConcreteInference inference(builder, node);
      const OpDef* op = find_op(node);
      if (op && op->infer) op->infer(inference);
      DType dtype = inference.output(i).dtype == DType::undefined ? value.dtype : inference.output(i).dtype;
      auto dims = inference.output(i).shape ? concrete(*inference.output(i).shape) : std::nullopt;
      if (!dims && value.shape) dims = concrete(*value.shape);
      if (!dims || dtype == DType::undefined || dtype_bytes(dtype) == 0) return std::nullopt;
      return std::pair{coded(value) ? code_dtype(*value.quantization) : dtype, *dims};
    }
  }
  return std::nullopt;
}

bool make_reference(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  for (const ValueId id : node.inputs)
    if (id != kNone && !builder.ready(id)) return why = "an input is not computed", false;
  auto params = std::make_shared<ReferenceParams>();
  params->graph = &builder.graph();
  params->step = lower_node(builder.context(), n);
  const Step& step = params->step;
  if (fold(builder, node, step)) return true;
  std::vector<std::pair<DType, Dims>> forms;
  for (const ValueId id : step.outputs) {
    const auto form = output_form(builder, step, id);
    if (!form) return why = "its result's shape depends on data", false;
    forms.push_back(*form);
  }
  plan::Draft draft;
  for (const ValueId id : step.inputs) {
    Slot slot{id, DType::undefined, builder.dims(id), {}, std::nullopt};
    if (const Tensor* known = builder.known(id)) {
      slot.known = *known;
    } else {
      const View view = builder.operand(id, plan::Order::row_major);
      slot.dtype = view.dtype;
      slot.ref = view.ref();
      draft.reads.push_back(view.buffer);
    }
    params->inputs.push_back(std::move(slot));
  }
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    const View view = builder.result(step.outputs[i], forms[i].first, forms[i].second, plan::Order::row_major);
    params->outputs.push_back({step.outputs[i], view.dtype, view.dims, view.ref(), std::nullopt});
    draft.writes.push_back(view.buffer);
  }
  for (const int32_t other : step.nodes) builder.cover(other);
  draft.run = run_reference;
  draft.details.kernel = step.info.kernel;
  draft.details.integer = step.info.integer;
  draft.details.reference = true;
  draft.details.nodes = step.nodes;
  draft.details.note = "reference step, allocates" + (why.empty() ? "" : " (" + why + ")");
  draft.params = params;
  builder.emit(n, std::move(draft));
  return true;
}

}  // namespace

ExtraSteps toolkit_steps() { return {make_reference, lookup_table}; }

}  // namespace lowbit
