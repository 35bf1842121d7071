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

const MethodOption kOptions[] = {
    {"steps", 800, 1, 1e6, "steps of Adam, on 32 samples each"},
    {"rate", 0.003, 0, 1, "of the weights, in steps of their codes"},
    {"scale-rate", 0.001, 0, 1, "of the logarithms of the scales"},
    {"bias-rate", 0.001, 0, 1, "of the biases, in units of the layer's results"},
};

void apply(Graph& graph, const MethodContext& context) {
  const Method& method = learned_blocks_method();
  const auto option = [&](std::string_view key) { return method.option(context, key); };
  learn_network(graph, context,
                {.blocks = true,
                 .steps = static_cast<int64_t>(option("steps")),
                 .rates = {option("rate"), option("scale-rate")},
                 .shift_rate = option("bias-rate")},
                method.name);
}

}  // namespace

const Method& learned_blocks_method() {
  static const Method method{.name = "learned-blocks",
                             .summary = "learns codes, scales and biases block by block of layers",
                             .paper = "Li et al., BRECQ, ICLR 2021, arXiv:2102.05426",
                             .needs_data = true,
                             .apply = apply,
                             .options = kOptions};
  return method;
}

}  // namespace lowbit
