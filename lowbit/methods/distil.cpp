// Distillation without labels: codes, scales and biases of all layers at once are learned from the float network's
// outputs, by gradients through the whole low-bit network (rounding counts as the identity). The loss is the divergence
// of the class distributions where there is a Softmax, else the relative squared error. Methods that look at one layer
// repair what that layer breaks; this one lets later layers make up for what earlier ones lost.
// Paper: Hinton et al., arXiv:1503.02531; for quantization Polino et al., ICLR 2018, arXiv:1802.05668. Straight-through
// gradients: Bengio et al., arXiv:1308.3432.
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
  const Method& method = distil_method();
  const auto option = [&](std::string_view key) { return method.option(context, key); };
  learn_network(graph, context,
                {.blocks = false,
                 .steps = static_cast<int64_t>(option("steps")),
                 .rates = {option("rate"), option("scale-rate")},
                 .shift_rate = option("bias-rate")},
                method.name);
}

}  // namespace

const Method& distil_method() {
  static const Method method{
      .name = "distil",
      .summary = "learns codes, scales and biases of all layers from the float network's outputs",
      .paper = "Polino et al., ICLR 2018, arXiv:1802.05668",
      .needs_data = true,
      .apply = apply,
      .options = kOptions};
  return method;
}

}  // namespace lowbit
