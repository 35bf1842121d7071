#include "lowbit/device/device_steps.h"

#include <algorithm>
#include <cmath>

namespace lowbit {
namespace {

/// The parameters of a function: its attributes, or constant inputs (Clip).
struct Parameters {
  float a = 0, b = 0;
};

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
float softplus(float x) { return (x > 0 ? x : 0.0f) + std::log1p(std::exp(-std::fabs(x))); }
float hard_sigmoid(float x, Parameters p) {
  const float y = p.a * x + p.b;
  return y < 0 ? 0.0f : y > 1 ? 1.0f : y;
}
float hard_swish(float x, Parameters) {
  const float y = x / 6.0f + 0.5f;
  return x * (y < 0 ? 0.0f : y > 1 ? 1.0f : y);
}
float gelu(float x, Parameters) { return 0.5f * x * (1.0f + std::erf(x * static_cast<float>(0.7071067811865476))); }

struct FunctionRow {
  std::string_view op;
  const char* first;  ///< attribute, or null
  float first_default;
  const char* second;
  float second_default;
  float (*function)(float x, Parameters p);
};

constexpr FunctionRow kFunctions[] = {
    {"Relu", nullptr, 0, nullptr, 0, [](float x, Parameters) { return x < 0.0f ? 0.0f : x; }},
    {"Clip", nullptr, 0, nullptr, 0, [](float x, Parameters p) { return std::min(std::max(x, p.a), p.b); }},
    {"LeakyRelu", "alpha", 0.01f, nullptr, 0, [](float x, Parameters p) { return x < 0 ? p.a * x : x; }},
    {"Sigmoid", nullptr, 0, nullptr, 0, [](float x, Parameters) { return sigmoid(x); }},
    {"Tanh", nullptr, 0, nullptr, 0, [](float x, Parameters) { return std::tanh(x); }},
    {"HardSigmoid", "alpha", 0.2f, "beta", 0.5f, hard_sigmoid},
    {"HardSwish", nullptr, 0, nullptr, 0, hard_swish},
    {"Elu", "alpha", 1.0f, nullptr, 0, [](float x, Parameters p) { return x > 0 ? x : p.a * std::expm1(x); }},
    {"Gelu", nullptr, 0, nullptr, 0, gelu},
    {"Softplus", nullptr, 0, nullptr, 0, [](float x, Parameters) { return softplus(x); }},
    {"Mish", nullptr, 0, nullptr, 0, [](float x, Parameters) { return x * std::tanh(softplus(x)); }},
    {"Abs", nullptr, 0, nullptr, 0, [](float x, Parameters) { return std::fabs(x); }},
    {"Neg", nullptr, 0, nullptr, 0, [](float x, Parameters) { return -x; }},
};

std::optional<Parameters> parameters_of(const Graph& graph, const Node& node, const FunctionRow& row) {
  if (!node.is("Clip"))
    return Parameters{row.first ? node.attr_float(row.first, row.first_default) : 0,
                      row.second ? node.attr_float(row.second, row.second_default) : 0};
  Parameters p{-__builtin_inff(), __builtin_inff()};
  for (size_t side = 1; side <= 2; ++side) {
    if (node.input(side) == kNone) continue;
    const auto limit = scalar_constant(graph, node.inputs[side]);
    if (!limit) return std::nullopt;
    (side == 1 ? p.a : p.b) = static_cast<float>(*limit);
  }
  return p;
}

std::optional<std::vector<int32_t>> device_table(const Graph& graph, const Node& node, const Quantization& x, const Quantization& y,
                                                 std::string& why) {
  const auto row = std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const FunctionRow& r) { return r.op == node.op; });
  if (row == std::end(kFunctions) || node.attr_string("approximate", "none") != "none")
    return why = "this library has no such function", std::nullopt;
  const auto parameters = parameters_of(graph, node, *row);
  if (!parameters) return why = "its parameters are not single constants", std::nullopt;
  const CodeRange range = x.codes();
  std::vector<int32_t> table;
  for (int32_t code = range.min; code <= range.max; ++code)
    table.push_back(linear_encode(row->function(linear_decode(code, x.linear_at(0)), *parameters), y.linear_at(0), y.codes()));
  return table;
}

}  // namespace

ExtraSteps device_steps() { return {nullptr, device_table}; }

}  // namespace lowbit
