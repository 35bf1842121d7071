#include "lowbit/methods/weight_slots.h"

#include <algorithm>
#include <unordered_map>

namespace lowbit {
namespace {

using Constant = std::function<const Tensor*(ValueId)>;

/// The channel axis and run of the weight at one input; nothing if it cannot be one.
using Describe = std::optional<WeightSlot> (*)(const Node& node, const Tensor& weight, size_t input);

std::optional<WeightSlot> convolution(const Node&, const Tensor&, size_t input) { return WeightSlot{input, 0, 0}; }

/// [C, M / groups, kernel ...]: the results of the groups are different channels.
std::optional<WeightSlot> transposed_convolution(const Node& node, const Tensor& weight, size_t input) {
  const int64_t groups = std::max<int64_t>(node.attr_int("group", 1), 1);
  if (groups == 1) return WeightSlot{input, 1, 0};
  int64_t kernel = 1;
  for (int64_t d = 2; d < weight.rank(); ++d) kernel *= weight.dim(d);
  return WeightSlot{input, 1, std::max<int64_t>(weight.dim(0) / groups, 1) * kernel};
}

std::optional<WeightSlot> gemm(const Node& node, const Tensor&, size_t input) {
  const bool turned = node.attr_int(input == 0 ? "transA" : "transB", 0) != 0;
  return WeightSlot{input, (input == 0) == turned ? 1 : 0, 0};
}

/// The rows of the left operand, the columns of the right one; each matrix of a batch has its own.
std::optional<WeightSlot> matmul(const Node& node, const Tensor& weight, size_t input) {
  const bool turned = node.attr_int(input == 0 ? "transA" : "transB", 0) != 0;
  const int64_t channels = weight.rank() - ((input == 0) == turned ? 1 : 2), inner = 2 * weight.rank() - 3 - channels;
  return WeightSlot{input, channels, weight.rank() > 2 ? weight.dim(inner) : 0};
}

/// [directions, gates * hidden, inputs]: a row of a gate is a channel.
std::optional<WeightSlot> recurrent(const Node&, const Tensor& weight, size_t input) {
  if (weight.rank() != 3) return std::nullopt;
  if (weight.dim(0) == 1) return WeightSlot{input, 1, 0};
  return WeightSlot{input, 0, weight.dim(2)};
}

/// A table of vectors: each is a channel.
std::optional<WeightSlot> embedding(const Node& node, const Tensor& weight, size_t input) {
  const int64_t axis = node.attr_int("axis", 0);
  return WeightSlot{input, axis < 0 ? axis + weight.rank() : axis, 0};
}

/// The first dimension that the result keeps.
std::optional<WeightSlot> einsum(const Node& node, const Tensor& weight, size_t input) {
  const std::string equation = node.attr_string("equation", "");
  const size_t arrow = equation.find("->");
  if (arrow == std::string::npos || equation.find('.') != std::string::npos) return std::nullopt;
  std::string term;
  for (size_t i = 0, comma = 0; i < arrow; ++i) {
    if (equation[i] == ',')
      ++comma;
    else if (comma == input && equation[i] != ' ')
      term += equation[i];
  }
  if (static_cast<int64_t>(term.size()) != weight.rank()) return std::nullopt;
  for (size_t i = 0; i < term.size(); ++i)
    if (equation.find(term[i], arrow) != std::string::npos) return WeightSlot{input, static_cast<int64_t>(i), 0};
  return std::nullopt;
}

struct Row {
  std::vector<size_t> inputs;
  Describe describe;
};

const Row* row_of(const Node& node) {
  static const std::unordered_map<std::string_view, Row> kOnnx = {
      {"Conv", {{1}, convolution}},  {"ConvTranspose", {{1}, transposed_convolution}},
      {"Gemm", {{1, 0}, gemm}},      {"MatMul", {{1, 0}, matmul}},
      {"LSTM", {{1, 2}, recurrent}}, {"GRU", {{1, 2}, recurrent}},
      {"RNN", {{1, 2}, recurrent}},  {"Gather", {{0}, embedding}},
      {"Einsum", {{1, 0}, einsum}},
  };
  static const std::unordered_map<std::string_view, Row> kMicrosoft = {
      {"FusedConv", {{1}, convolution}},
      {"FusedGemm", {{1, 0}, gemm}},
      {"FusedMatMul", {{1, 0}, matmul}},
  };
  if (!node.domain.empty() && node.domain != "com.microsoft") return nullptr;
  const auto& table = node.domain.empty() ? kOnnx : kMicrosoft;
  const auto found = table.find(node.op);
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace

std::vector<WeightSlot> weight_slots(const Node& node, const Constant& constant) {
  std::vector<WeightSlot> slots;
  const Row* row = row_of(node);
  if (!row) return slots;
  // With all operands constant there is nothing to run with few bits: folding is what such a node needs.
  const bool all = std::all_of(node.inputs.begin(), node.inputs.end(),
                               [&](ValueId id) { return id == kNone || constant(id) != nullptr; });
  if (all) return slots;
  for (size_t input : row->inputs) {
    const Tensor* weight = node.input(input) == kNone ? nullptr : constant(node.input(input));
    if (!weight || weight->dtype() != DType::float32 || weight->rank() < 2 || weight->count() == 0) continue;
    if (const auto slot = row->describe(node, *weight, input); slot && slot->axis >= 0 && slot->axis < weight->rank())
      slots.push_back(*slot);
  }
  return slots;
}

std::vector<WeightSlot> weight_slots(const Graph& graph, const Node& node) {
  return weight_slots(node, [&](ValueId id) { return graph.constant(id); });
}

Granularity slot_granularity(const std::string& granularity, const WeightSlot& slot) {
  Granularity result = parse_granularity(granularity);
  if (result.kind == Granularity::Kind::tensor) return result;
  result.axis = slot.axis;
  if (result.kind == Granularity::Kind::channel && slot.run > 0)
    return {Granularity::Kind::group, slot.axis, 1, slot.run};
  return result;
}

}  // namespace lowbit
