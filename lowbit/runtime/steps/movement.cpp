// Operators whose results are elements of their inputs: codes move as they are.
#include <algorithm>

#include <fmt/format.h>

#include "lowbit/core/weights.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/runtime/steps/steps.h"

namespace lowbit {
namespace {

bool same_codes(const Quantization& a, const Quantization& b) { return a.format == b.format && a.params == b.params; }

/// The step runs the operator's own reference on codes: it never looks at values. int32 codes, because every operator
/// takes them.
Step code_step(const LowerContext& context, int32_t n, const Quantization& q, std::vector<ValueId> inputs) {
  Step step;
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  step.inputs = std::move(inputs);
  for (ValueId id : node.outputs)
    if (id != kNone) step.outputs.push_back(id);
  step.nodes = {n};
  step.info.integer = true;
  step.info.kernel = "moves " + to_string(q.format);
  return step;
}

/// Clip limits and padding constants of a MaxPool, Pad ... that must be codes too.
std::optional<Tensor> pad_constant(const LowerContext& context, const Node& node, const Quantization& q, DType type,
                                   std::string& why) {
  double value = 0;
  if (node.input(2) != kNone) {
    const auto given = scalar_constant(context.graph, node.inputs[2]);
    if (!given) return why = "its padding value is not constant", std::nullopt;
    value = *given;
  }
  const Tensor x = Tensor::scalar(static_cast<float>(value));
  return quantize_activation(q, x).cast(type);
}

}  // namespace

std::optional<Step> make_movement_step(const LowerContext& context, int32_t n, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  const Quantization* x = context.per_tensor(node.input(0));
  if (!x || context.graph.constant(node.inputs[0])) return why = "its input stays float", std::nullopt;
  for (ValueId id : node.outputs) {
    if (id == kNone) continue;
    const Quantization* y = context.per_tensor(id);
    if (!y || !same_codes(*x, *y)) return why = "its result has other parameters than its input", std::nullopt;
  }
  if (node.is("MaxPool") && node.outputs.size() > 1) return why = "its indices are read", std::nullopt;
  if (node.is("Resize") && node.attr_string("mode", "nearest") != "nearest")
    return why = "it interpolates", std::nullopt;
  std::optional<Tensor> padding;
  if (node.is("Pad") && node.attr_string("mode", "constant") == "constant" &&
      !(padding = pad_constant(context, node, *x, code_dtype(*x), why)))
    return std::nullopt;
  std::vector<ValueId> slots{node.inputs[0]};
  for (size_t i = 1; i < node.inputs.size(); ++i)
    if (node.inputs[i] != kNone && !context.graph.constant(node.inputs[i])) slots.push_back(node.inputs[i]);
  Step step = code_step(context, n, *x, std::move(slots));
  // ONNX defines MaxPool for floats and 8-bit integers; float32 holds 16-bit codes exactly.
  const bool as_float = node.is("MaxPool") && dtype_bytes(code_dtype(*x)) > 1;
  step.run = [&graph = context.graph, &node, padding, as_float, type = code_dtype(*x)](Frame& frame) {
    std::vector<const Tensor*> inputs;
    const Tensor widened = as_float ? frame.at(node.inputs[0]).cast(DType::float32) : Tensor();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      inputs.push_back(id == kNone ? nullptr : graph.constant(id) ? graph.constant(id) : &frame.at(id));
    }
    if (padding) {
      inputs.resize(std::max<size_t>(inputs.size(), 3), nullptr);
      inputs[2] = &*padding;
    }
    if (as_float) inputs[0] = &widened;
    std::vector<Tensor> outputs = evaluate_node(node, inputs, frame.threads);
    if (as_float) outputs[0] = outputs[0].cast(type);
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNone) frame.set(node.outputs[i], std::move(outputs[i]));
  };
  return step;
}

std::optional<Step> make_concat_step(const LowerContext& context, int32_t n, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  const Quantization* y = context.per_tensor(node.output());
  if (!y) return why = "its result stays float", std::nullopt;
  struct Part {
    ValueId id;
    std::optional<Tensor> constant;
    bool same;
    int32_t zero_point;
    float factor;
  };
  auto parts = std::make_shared<std::vector<Part>>();
  std::vector<ValueId> slots;
  for (ValueId id : node.inputs) {
    const Quantization* x = context.per_tensor(id);
    const Tensor* constant = context.graph.constant(id);
    if (!x && !constant) return why = "an input stays float", std::nullopt;
    if (constant) {  // encoded once, at the result's own parameters
      const Value& value = context.graph.value(id);
      Tensor codes = x && same_codes(*x, *y) ? weight_codes(value) : quantize_activation(*y, weight_values(value));
      parts->push_back({id, std::move(codes), true, 0, 1});
      continue;
    }
    const float factor = x->linear_at(0).scale / y->linear_at(0).scale;
    parts->push_back({id, std::nullopt, same_codes(*x, *y), x->linear_at(0).zero_point, factor});
    slots.push_back(id);
  }
  Step step = code_step(context, n, *y, std::move(slots));
  step.info.kernel = "concatenates " + to_string(y->format);
  step.run = [&node, parts, codes = output_codes(*y, {}), type = code_dtype(*y)](Frame& frame) {
    std::vector<Tensor> converted;
    converted.reserve(parts->size());
    for (const Part& part : *parts) {
      const Tensor& input = part.constant ? *part.constant : frame.at(part.id);
      if (part.same) {
        converted.push_back(input);
        continue;
      }
      std::vector<int32_t> values(static_cast<size_t>(input.count()));
      load_codes(input, 0, input.count(), values.data());
      for (int32_t& value : values) value = requantize(value - part.zero_point, part.factor, codes);
      converted.push_back(Tensor::uninitialized(type, input.dims()));
      store_codes(values.data(), 0, input.count(), converted.back());
    }
    std::vector<const Tensor*> inputs;
    for (const Tensor& tensor : converted) inputs.push_back(&tensor);
    frame.set(node.outputs[0], std::move(evaluate_node(node, inputs, frame.threads)[0]));
  };
  return step;
}

}  // namespace lowbit
