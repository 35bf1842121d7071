// Batch-norm re-estimation in a network whose batch norms are folded: rounding changes mean and variance of each output
// channel; a batch norm estimated again would bring both back. Here the layer's own scale and bias do it: with y_f and
// y_q the channel in the float and in the low-bit network, the weight scale is multiplied by sd(y_f) / sd(y_q) and the
// bias set so that the means agree. Codes stay as they are. Layers with linear weights and a scale for each output
// channel; the bias alone is corrected in others.
// Paper: Sun et al., "Hybrid 8-bit Floating Point Training" notes the effect; Nagel et al., "A White Paper on Neural
// Network Quantization", 2021, arXiv:2106.08295, section 5.2.2, re-estimates batch norms after rounding.
#include <cmath>

#include "lowbit/methods/annotate.h"
#include "lowbit/methods/layer_matrix.h"
#include "lowbit/methods/mean_shift.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

/// Sums of one network's result by channel.
struct ChannelSums {
  std::vector<double> sum, squares;
  double count = 0;

  void add(const Tensor& x, int64_t axis) {
    int64_t inner = 1;
    for (int64_t d = axis + 1; d < x.rank(); ++d) inner *= x.dim(d);
    const int64_t channels = x.dim(axis);
    sum.resize(static_cast<size_t>(channels), 0.0);
    squares.resize(sum.size(), 0.0);
    for (int64_t e = 0; e < x.count(); ++e) {
      const auto c = static_cast<size_t>(e / inner % channels);
      const auto value = static_cast<double>(x.data<float>()[e]);
      sum[c] += value;
      squares[c] += value * value;
    }
    count += static_cast<double>(x.count()) / static_cast<double>(std::max<int64_t>(channels, 1));
  }
  double deviation(size_t c) const {
    const double mean = sum[c] / count;
    return std::sqrt(std::max(0.0, squares[c] / count - mean * mean));
  }
};

constexpr double kMostChange = 2;  ///< a larger factor means that the channel is broken, not that it is scaled

/// Multiplies weight scales by the factors, levels with them.
void scale_rows(Graph& graph, Node& node, const LayerMatrix& matrix, const std::vector<double>& factor) {
  Value& value = graph.value(own_constant(graph, node, 1));
  Tensor levels = fake_quantize(*value.quantization, to_float32(*value.constant));
  const Tensor codes = encode_tensor(*value.quantization, levels);
  for (int64_t row = 0; row < matrix.outputs(); ++row) {
    float& scale = value.quantization->params[static_cast<size_t>(row) * 2];
    const auto wanted = static_cast<float>(static_cast<double>(scale) * factor[static_cast<size_t>(row)]);
    if (std::isnormal(wanted) && wanted >= smallest_weight_scale(graph, node, row)) scale = wanted;
  }
  value.quantization->origin += ", channels rescaled";
  value.constant = decode_tensor(*value.quantization, codes);
}

void correct_deviation(LayerWalk& walk, Graph& graph, const MethodContext& context, size_t n) {
  Node& node = graph.nodes[n];
  if (!has_low_bit_weight(graph, node)) return;
  const Tensor& weight = *graph.constant(node.inputs[1]);
  const Quantization quantization = *graph.value(node.inputs[1]).quantization;
  const auto matrix = layer_matrix(node, weight.dims());
  if (!matrix || !quantization.linear() || quantization.granularity.kind != Granularity::Kind::channel ||
      static_cast<int64_t>(quantization.params.size()) != 2 * matrix->outputs())
    return;
  ChannelSums wanted, made;
  for (int64_t chunk = 0; chunk < walk.chunks(); ++chunk) {
    const Tensor f = walk.float_value(chunk, node.output()), q = walk.low_value(chunk, node.output());
    if (f.dtype() != DType::float32 || f.rank() < 2) return;
    wanted.add(f, output_axis(node, f.rank()));
    made.add(q, output_axis(node, q.rank()));
  }
  if (!(wanted.count > 1)) return;
  std::vector<double> factor(wanted.sum.size(), 1.0);
  for (size_t c = 0; c < factor.size(); ++c) {
    const double ratio = wanted.deviation(c) / made.deviation(c);
    if (std::isfinite(ratio) && ratio > 1 / kMostChange && ratio < kMostChange) factor[c] = ratio;
  }
  if (static_cast<int64_t>(factor.size()) != matrix->outputs()) return;
  scale_rows(graph, node, *matrix, factor);
  // The results again, with the new scales.
  for (int64_t chunk = 0; chunk < walk.chunks(); ++chunk) {
    std::vector<Tensor> held(node.inputs.size());
    std::vector<const Tensor*> inputs(node.inputs.size(), nullptr);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNone) continue;
      held[i] = walk.low_value(chunk, node.inputs[i]);
      inputs[i] = &held[i];
    }
    const std::vector<Tensor> results = evaluate_node(node, inputs, context.threads, true);
    walk.set_low_value(chunk, node.output(), results[0]);
  }
}

void apply_bn_reestimate(Graph& graph, const MethodContext& context) {
  if (!context.batches) return;
  const GraphIndex index(graph);
  std::optional<size_t> last;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (has_low_bit_weight(graph, graph.nodes[n]) || can_shift(graph, index, n)) last = n;
  if (!last) return;
  LayerWalk walk(graph, context, "estimating channels");
  walk.run({.after =
                [&](size_t n) {
                  correct_deviation(walk, graph, context, n);
                  correct_mean_shift(walk, graph, index, n);
                }},
           *last);
}

}  // namespace

const Method& bn_reestimate_method() {
  static const Method method{.name = "bn-reestimate",
                             .summary = "brings mean and variance of every output channel back to the float network's",
                             .paper = "Nagel et al., 2021, arXiv:2106.08295, section 5.2.2",
                             .needs_data = true,
                             .apply = apply_bn_reestimate};
  return method;
}

}  // namespace lowbit
