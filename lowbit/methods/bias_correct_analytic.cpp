// Analytic bias correction: rounding the weights shifts the mean of a layer's results by E[(W_q - W) x] = (W_q - W)
// E[x]; with the mean of each input channel from calibration that shift is known and taken out of the bias. Paper:
// Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, arXiv:1906.04721,
// section 4.2; here E[x] is measured on the calibration data. Padding is neglected: a border pixel sees the full mean.
#include <cmath>

#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

/// Mean of each input channel of a layer, or nothing if it was not measured per channel.
const TensorStatistics* channel_statistics(const Graph& graph, const MethodContext& context, ValueId input,
                                           int64_t channels) {
  if (!context.statistics) return nullptr;
  const auto found = context.statistics->tensors.find(graph.value(input).name);
  if (found == context.statistics->tensors.end() || static_cast<int64_t>(found->second.channels.size()) != channels)
    return nullptr;
  return &found->second;
}

/// How the weight tensor splits: output channel, input channel (within its group) of each element.
struct WeightIndex {
  int64_t outputs, inputs_per_group, groups, inner;
  bool input_major;  ///< [in, out] (Gemm without transB, MatMul)
};

std::optional<WeightIndex> weight_index(const Node& node, const Tensor& weight) {
  if (node.is("Conv")) {
    int64_t inner = 1;
    for (int64_t d = 2; d < weight.rank(); ++d) inner *= weight.dim(d);
    return WeightIndex{weight.dim(0), weight.dim(1), std::max<int64_t>(node.attr_int("group", 1), 1), inner, false};
  }
  if (weight.rank() != 2) return std::nullopt;
  const bool transposed = node.is("Gemm") && node.attr_int("transB", 0) != 0;
  return transposed ? WeightIndex{weight.dim(0), weight.dim(1), 1, 1, false}
                    : WeightIndex{weight.dim(1), weight.dim(0), 1, 1, true};
}

std::vector<double> mean_shift(const Tensor& weight, const Tensor& decoded, const WeightIndex& at,
                               const TensorStatistics& input) {
  std::vector<double> means;
  for (const TensorStatistics::Channel& channel : input.channels)
    means.push_back(channel.count > 0 ? channel.sum.value() / static_cast<double>(channel.count) : 0);
  std::vector<double> shift(static_cast<size_t>(at.outputs), 0);
  const float *w = weight.data<float>(), *q = decoded.data<float>();
  for (int64_t o = 0; o < at.outputs; ++o) {
    const int64_t first = o / (at.outputs / at.groups) * at.inputs_per_group;
    for (int64_t i = 0; i < at.inputs_per_group; ++i)
      for (int64_t k = 0; k < at.inner; ++k) {
        const int64_t element = at.input_major ? i * at.outputs + o : (o * at.inputs_per_group + i) * at.inner + k;
        shift[static_cast<size_t>(o)] +=
            (static_cast<double>(q[element]) - static_cast<double>(w[element])) * means[static_cast<size_t>(first + i)];
      }
  }
  return shift;
}

void correct_layer(Graph& graph, Node& node, const MethodContext& context) {
  const Tensor* weight = graph.constant(node.input(1));
  if (!weight || !graph.value(node.inputs[1]).quantization || weight->dtype() != DType::float32) return;
  const auto at = weight_index(node, *weight);
  if (!at || at->outputs % at->groups != 0) return;
  const TensorStatistics* input = channel_statistics(graph, context, node.inputs[0], at->inputs_per_group * at->groups);
  const Tensor* bias = graph.constant(node.input(2));
  if (!input || (node.input(2) != kNone &&
                 (!bias || bias->count() != at->outputs || (bias->rank() > 0 && bias->dims().back() != at->outputs))))
    return;
  const std::vector<double> shift =
      mean_shift(*weight, fake_quantize(*graph.value(node.inputs[1]).quantization, *weight), *at, *input);
  std::vector<float> corrected(static_cast<size_t>(at->outputs));
  const Tensor old = bias ? to_float32(*bias) : Tensor(DType::float32, {at->outputs});
  for (size_t o = 0; o < corrected.size(); ++o)
    corrected[o] = static_cast<float>(static_cast<double>(old.data<float>()[o]) - shift[o]);
  node.inputs.resize(3, kNone);
  const std::string name =
      node.inputs[2] == kNone ? node.name + "_bias" : graph.value(node.inputs[2]).name + "_corrected";
  node.inputs[2] = graph.add_constant(name, Tensor::from(Dims{at->outputs}, corrected));
}

void apply_bias_correct_analytic(Graph& graph, const MethodContext& context) {
  for (Node& node : graph.nodes)
    if (node.is("Conv") || node.is("Gemm")) correct_layer(graph, node, context);
}

}  // namespace

const Method& bias_correct_analytic_method() {
  static const Method method{
      .name = "bias-correct-analytic",
      .summary = "takes the mean shift of rounded weights out of the biases, from statistics alone",
      .paper = "Nagel et al., ICCV 2019, arXiv:1906.04721, section 4.2",
      .needs_data = true,
      .apply = apply_bias_correct_analytic,
      .channel_means = true};
  return method;
}

}  // namespace lowbit
