// Error-diffusing rounding: within each row of a layer's weights the error of every rounding is carried to the next
// element, as error diffusion does with the brightness of a picture: each element takes the one of its two neighbouring
// levels that keeps the carried sum of (w - q) m near zero. m is the mean of the input channel where calibration data
// are there, so that the sum is the shift of the result's mean; otherwise 1.
// Papers: Floyd and Steinberg, Proc. SID 17, 1976; the flipping of Guo et al., "SQuant", ICLR 2022, arXiv:2202.07471,
// keeps the same sum near zero.
#include <cmath>

#include "lowbit/methods/layer_matrix.h"
#include "lowbit/methods/methods.h"
#include "lowbit/methods/weight_grid.h"
#include "lowbit/numbers/element_groups.h"

namespace lowbit {
namespace {

/// The mean that each column of a part's matrix sees; all 1 without statistics.
std::vector<double> column_means(const Graph& graph, const Node& node, const LayerMatrix& matrix, int64_t group,
                                 const MethodContext& context) {
  std::vector<double> means(static_cast<size_t>(matrix.columns), 1.0);
  if (!context.statistics) return means;
  const auto found = context.statistics->tensors.find(graph.value(node.inputs[0]).name);
  if (found == context.statistics->tensors.end()) return means;
  const auto& channels = found->second.channels;
  const Tensor& weight = *graph.constant(node.inputs[1]);
  const int64_t inputs = node.is("Conv") ? weight.dim(1) : matrix.columns, taps = matrix.columns / inputs;
  if (static_cast<int64_t>(channels.size()) != inputs * matrix.groups) return means;
  for (int64_t c = 0; c < matrix.columns; ++c) {
    const auto& channel = channels[static_cast<size_t>(group * inputs + c / taps)];
    means[static_cast<size_t>(c)] = channel.count > 0 ? channel.sum.value() / static_cast<double>(channel.count) : 0.0;
  }
  return means;
}

void round_layer(Graph& graph, Node& node, const MethodContext& context) {
  if (!has_low_bit_weight(graph, node)) return;
  const Tensor weight = to_float32(*graph.constant(node.inputs[1]));
  const auto matrix = layer_matrix(node, weight.dims());
  if (!matrix) return;
  const Quantization quantization = *graph.value(node.inputs[1]).quantization;
  if (!has_levels_of_elements(quantization)) return;  // the nearest vectors stay
  const WeightGrid grid(quantization, quantization.params);
  const std::vector<int32_t> group_of = group_of_elements(quantization.granularity, weight.dims());
  Tensor rounded = weight;
  float* to = rounded.mutable_data<float>();
  for (int64_t g = 0; g < matrix->groups; ++g) {
    const std::vector<double> means = column_means(graph, node, *matrix, g, context);
    for (int64_t r = 0; r < matrix->rows; ++r) {
      double carried = 0;
      for (int64_t c = 0; c < matrix->columns; ++c) {
        const int64_t element = matrix->offset(g, r, c);
        const auto w = static_cast<double>(weight.data<float>()[element]);
        const double mean = means[static_cast<size_t>(c)];
        const auto [below, above] = grid.around(group_of[static_cast<size_t>(element)], w);
        const double with_below = carried + (w - static_cast<double>(below)) * mean,
                     with_above = carried + (w - static_cast<double>(above)) * mean;
        const bool nearer_below = w - static_cast<double>(below) <= static_cast<double>(above) - w;
        const bool low =
            std::abs(with_below) == std::abs(with_above) ? nearer_below : std::abs(with_below) < std::abs(with_above);
        to[element] = low ? below : above;
        carried = low ? with_below : with_above;
      }
    }
  }
  graph.value(own_constant(graph, node, 1)).constant = std::move(rounded);
}

void apply_diffuse(Graph& graph, const MethodContext& context) {
  for (Node& node : graph.nodes) round_layer(graph, node, context);
}

}  // namespace

const Method& diffuse_method() {
  static const Method method{
      .name = "diffuse",
      .summary = "carries the error of each rounded weight on to the next of its row",
      .paper = "Floyd and Steinberg, Proc. SID 17, 1976; Guo et al., ICLR 2022, arXiv:2202.07471",
      .needs_data = false,
      .apply = apply_diffuse,
      .channel_means = true};
  return method;
}

}  // namespace lowbit
