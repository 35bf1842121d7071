// Empirical bias correction: layer by layer in graph order, the mean of each output channel is brought back to that of
// the float network, with the inputs as they arrive in the network that is low-bit so far. So it takes out what rounded
// weights, rounded activations and the layers before did to the means, not only what the layer's own weights did.
// Paper: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019,
// arXiv:1906.04721, appendix D.
#include "lowbit/methods/layer_matrix.h"
#include "lowbit/methods/mean_shift.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

void apply_bias_correct(Graph& graph, const MethodContext& context) {
  const GraphIndex index(graph);
  std::optional<size_t> last;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (can_shift(graph, index, n)) last = n;
  if (!last || !context.batches) return;
  LayerWalk walk(graph, context, "correcting biases");
  walk.run({.after = [&](size_t n) { correct_mean_shift(walk, graph, index, n); }}, *last);
}

}  // namespace

const Method& bias_correct_method() {
  static const Method method{.name = "bias-correct",
                             .summary = "brings the mean of every output channel back to the float network's",
                             .paper = "Nagel et al., ICCV 2019, arXiv:1906.04721, appendix D",
                             .needs_data = true,
                             .apply = apply_bias_correct};
  return method;
}

}  // namespace lowbit
