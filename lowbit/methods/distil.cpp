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

void apply_distil(Graph& graph, const MethodContext& context) {
  learn_by_options(graph, context, distil_method(), /*blocks=*/false);
}

}  // namespace

const Method& distil_method() {
  static const Method method{
      .name = "distil",
      .summary = "learns codes, scales and biases of all layers from the float network's outputs",
      .paper = "Polino et al., ICLR 2018, arXiv:1802.05668",
      .needs_data = true,
      .apply = apply_distil,
      .options = learning_options()};
  return method;
}

}  // namespace lowbit
