// Block-wise reconstruction: the network is cut at values through which everything flows, and each block learns, with
// its codes, scales and biases, to make of what the low-bit network gives it what the float network has there. All
// blocks learn on the same batches; gradients end at the borders.
// Paper: Li et al., "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction", ICLR 2021,
// arXiv:2102.05426. Differences: straight-through rounding from the levels at hand instead of AdaRound's variables; no
// Fisher weights; blocks learn side by side instead of one after the other.
#include "lowbit/methods/methods.h"
#include "lowbit/methods/network_learning.h"

namespace lowbit {
namespace {

void apply_learned_blocks(Graph& graph, const MethodContext& context) {
  learn_by_options(graph, context, learned_blocks_method(), /*blocks=*/true);
}

}  // namespace

const Method& learned_blocks_method() {
  static const Method method{.name = "learned-blocks",
                             .summary = "learns codes, scales and biases block by block of layers",
                             .paper = "Li et al., BRECQ, ICLR 2021, arXiv:2102.05426",
                             .needs_data = true,
                             .apply = apply_learned_blocks,
                             .options = learning_options()};
  return method;
}

}  // namespace lowbit
