#include "lowbit/device/device_steps.h"

#include <algorithm>

#include "lowbit/core/weights.h"
#include "lowbit/ops/activation_functions.h"

namespace lowbit {
namespace {

struct Abs {
  float operator()(float x) const { return std::fabs(x); }
};
struct Neg {
  float operator()(float x) const { return -x; }
};

/// x[i] = f(x[i]) for the operator of a node.
using MapFn = void (*)(const Node& node, std::vector<float>& x);

template <typename Op>
void map(const Node& node, std::vector<float>& x) {
  const Op op = make_functor<Op>(node);
  for (float& value : x) value = op(value);
}

struct FunctionRow {
  std::string_view op;
  MapFn map;
};

constexpr FunctionRow kFunctions[] = {
    {"Abs", map<Abs>},
    {"Celu", map<functions::Celu>},
    {"Elu", map<functions::Elu>},
    {"Gelu", map<functions::Gelu>},
    {"HardSigmoid", map<functions::HardSigmoid>},
    {"HardSwish", map<functions::HardSwish>},
    {"LeakyRelu", map<functions::LeakyRelu>},
    {"Mish", map<functions::Mish>},
    {"Neg", map<Neg>},
    {"Relu", map<functions::Relu>},
    {"Selu", map<functions::Selu>},
    {"Sigmoid", map<functions::Sigmoid>},
    {"Softplus", map<functions::Softplus>},
    {"Softsign", map<functions::Softsign>},
    {"Swish", map<functions::Swish>},
    {"Tanh", map<functions::Tanh>},
};

/// Clip, whose limits are inputs: absent, or constants of one element.
bool clip(const Graph& graph, const Node& node, std::vector<float>& x) {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  for (size_t side = 1; side <= 2; ++side) {
    if (node.input(side) == kNone) continue;
    const Tensor* constant = graph.constant(node.inputs[side]);
    if (!constant || constant->count() != 1) return false;
    (side == 1 ? low : high) = unrounded_values(graph.value(node.inputs[side])).data<float>()[0];
  }
  for (float& value : x) value = std::min(std::max(value, low), high);
  return true;
}

std::optional<std::vector<int32_t>> device_table(const Graph& graph, const Node& node, const Quantization& x,
                                                 const Quantization& y, std::string& why) {
  const CodeRange range = x.codes();
  if (range.count() > 65536) return why = "its input has too many codes for a table", std::nullopt;
  std::vector<int32_t> codes(static_cast<size_t>(range.count()));
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = range.min + static_cast<int32_t>(i);
  std::vector<float> values(codes.size());
  decode(x.format, x.params.data(), codes.data(), range.count(), values.data());
  const auto row =
      std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const FunctionRow& r) { return r.op == node.op; });
  if (row != std::end(kFunctions))
    row->map(node, values);
  else if (!node.is("Clip"))
    return why = "this library has no table for it", std::nullopt;
  else if (!clip(graph, node, values))
    return why = "its limits are not single constants", std::nullopt;
  encode(y.format, y.params.data(), values.data(), range.count(), codes.data());
  return codes;
}

}  // namespace

ExtraSteps device_steps() { return {nullptr, device_table}; }

}  // namespace lowbit
