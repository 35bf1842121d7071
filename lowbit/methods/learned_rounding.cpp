// Learned rounding of each layer: every weight may go to the level below or above it, and which one is learned by
// gradient descent with Adam on continuous variables, a rectified sigmoid h(v) in [0, 1] each, while a regularizer
// drives them to 0 or 1. The error of the layer's results is quadratic in the weights, so all that is needed of the
// data are the second moments: loss (w' - q)^T H (w' - q), gradient -2 H (w' - q) (above - below) h'(v) in closed form.
// Moments, targets, parameters and bias as in gptq; a row keeps the column updates where they are better. Paper: Nagel
// et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020, arXiv:2004.10568.
#include "lowbit/methods/layer_rounding.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

const MethodOption kLearnedRoundingOptions[] = {
    {"steps", 400, 1, 1e6, "steps of gradient descent for each layer"},
    kDampingOption,
    kTargetsOption,
    kScalesOption,
    kBiasOption,
    kFocusOption,
    kPositionsOption,
};

void apply_learned_rounding(Graph& graph, const MethodContext& context) {
  const Method& method = learned_rounding_method();
  const auto option = [&](std::string_view key) { return method.option(context, key); };
  round_layers(graph, context,
               {.damping = option("damping"),
                .targets = option("targets") != 0,
                .scales = option("scales") != 0,
                .bias = option("bias") != 0,
                .sweeps = 0,
                .steps = static_cast<int>(option("steps")),
                .focus = option("focus"),
                .positions = static_cast<int64_t>(option("positions"))},
               method.name);
}

}  // namespace

const Method& learned_rounding_method() {
  static const Method method{
      .name = "learned-rounding",
      .summary = "learns for each weight whether it goes up or down, by gradients of the layer's error",
      .paper = "Nagel et al., ICML 2020, arXiv:2004.10568",
      .needs_data = true,
      .apply = apply_learned_rounding,
      .options = kLearnedRoundingOptions};
  return method;
}

}  // namespace lowbit
