#include "lowbit/runtime/lookup.h"

#include "lowbit/core/weights.h"
#include "lowbit/ops/evaluate.h"

namespace lowbit {

std::optional<std::vector<int32_t>> lookup_table(const Graph& graph, const Node& node, const Quantization& x,
                                                 const Quantization& y, std::string& why) {
  if (x.codes().count() > 65536) return why = "its input has too many codes for a table", std::nullopt;
  std::vector<Tensor> parameters(node.inputs.size());
  std::vector<const Tensor*> inputs{nullptr};
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const Tensor* constant = graph.constant(node.inputs[i]);
    if (node.inputs[i] != kNone && (!constant || constant->count() != 1))
      return why = "its parameters are not single constants", std::nullopt;
    if (constant) parameters[i] = unrounded_values(graph.value(node.inputs[i]));
    inputs.push_back(constant ? &parameters[i] : nullptr);
  }
  // The table is the definition applied to every code: dequantize, the float operator, quantize.
  const CodeRange range = x.codes();
  std::vector<int32_t> all(static_cast<size_t>(range.count()));
  for (size_t i = 0; i < all.size(); ++i) all[i] = range.min + static_cast<int32_t>(i);
  Tensor values = Tensor::uninitialized(DType::float32, {range.count()});
  decode(x.format, x.params.data(), all.data(), range.count(), values.mutable_data<float>());
  inputs[0] = &values;
  ThreadPool one(1);
  const Tensor results = evaluate_node(node, inputs, one)[0];
  std::vector<int32_t> table(all.size());
  encode(y.format, y.params.data(), results.data<float>(), range.count(), table.data());
  return table;
}

}  // namespace lowbit
