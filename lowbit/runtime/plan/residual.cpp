#include "lowbit/runtime/plan/residual.h"

#include "lowbit/runtime/plan/convert.h"

namespace lowbit::plan {

kernels::QAddFactors sum_factors(LinearParams a, LinearParams b, LinearParams y, bool subtracts) {
  const float ratio_a = a.scale / y.scale, ratio_b = b.scale / y.scale * (subtracts ? -1.0f : 1.0f);
  const auto offset_b = static_cast<double>(ratio_b * static_cast<float>(b.zero_point));
  const auto offsets = static_cast<float>(static_cast<double>(ratio_a) * a.zero_point + offset_b);
  return {ratio_a, ratio_b, static_cast<float>(y.zero_point) - offsets};
}

std::optional<FusedSum> find_residual(const Builder& builder, ValueId result, const Dims& dims) {
  const int32_t n = builder.only_reader(result);
  if (n < 0 || builder.covered(n)) return std::nullopt;
  const Node& node = builder.node(n);
  if ((!node.is("Add") && !node.is("Sub")) || node.input(0) == node.input(1)) return std::nullopt;
  const bool first = node.inputs[0] == result;
  const ValueId other = node.inputs[first ? 1 : 0];
  if (!builder.ready(other) || builder.known(other) || builder.dims(other) != dims) return std::nullopt;
  const FusedActivation activation = fused_activation(builder.context(), node.outputs[0]);
  const LowerContext& context = builder.context();
  const Quantization *l = context.per_tensor(result), *r = context.per_tensor(other),
                     *y = context.per_tensor(activation.output);
  if (!l || !r || !y) return std::nullopt;
  const auto other_code = code_of(code_dtype(*r)), type = code_of(code_dtype(*y));
  if (!other_code || !type || kernels::code_bytes(*other_code) != 1 || kernels::code_bytes(*type) != 1)
    return std::nullopt;
  const Quantization *a = first ? l : r, *b = first ? r : l;
  const kernels::QAddFactors factors = sum_factors(a->linear_at(0), b->linear_at(0), y->linear_at(0), node.is("Sub"));
  const OutputCodes codes = output_codes(*y, activation);
  FusedSum sum{other, activation.output, *type, {}, {n}};
  sum.residual = {nullptr, *other_code, 0, first, factors.r_a, factors.r_b, factors.f, codes.low, codes.high};
  if (activation.node >= 0) sum.nodes.push_back(activation.node);
  return sum;
}

}  // namespace lowbit::plan
