#include <algorithm>

#include "lowbit/runtime/step.h"

namespace lowbit {

const Quantization* LowerContext::linear(ValueId id) const {
  if (id == kNone) return nullptr;
  const auto& quantization = graph.value(id).quantization;
  return quantization && !quantization->dynamic && quantization->linear() ? &*quantization : nullptr;
}

const Quantization* LowerContext::per_tensor(ValueId id) const {
  const Quantization* quantization = linear(id);
  return quantization && quantization->params.size() == 2 ? quantization : nullptr;
}

FusedActivation fused_activation(const LowerContext& context, ValueId result) {
  FusedActivation none;
  none.output = result;
  if (context.graph.value(result).quantization) return none;
  const int32_t next = only_reader(context.graph, context.index, result);
  if (next < 0) return none;
  const Node& node = context.graph.nodes[static_cast<size_t>(next)];
  if (!context.per_tensor(node.output())) return none;
  FusedActivation fused{next, node.outputs[0]};
  if (node.is("Relu")) {
    fused.low = 0;
    return fused;
  }
  if (!node.is("Clip") || node.input(0) != result) return none;
  for (size_t side = 1; side <= 2; ++side) {
    if (node.input(side) == kNone) continue;
    const auto limit = scalar_constant(context.graph, node.inputs[side]);
    if (!limit) return none;
    (side == 1 ? fused.low : fused.high) = static_cast<float>(std::clamp(*limit, -1e38, 1e38));
  }
  return fused;
}

OutputCodes output_codes(const Quantization& quantization, const FusedActivation& activation) {
  const LinearParams params = quantization.linear_at(0);
  const CodeRange range = quantization.codes();
  return {params.zero_point, std::max(range.min, linear_encode(activation.low, params, range)),
          std::min(range.max, linear_encode(activation.high, params, range))};
}

}  // namespace lowbit
