// Second-order rounding. For each layer in graph order, with x_f its input in the float network and x_q its input in
// the network that is low-bit so far:
//   1. moments H = cov(x_q, x_q) + d I and A = cov(x_f, x_q) + d I, d = damping * mean diagonal
//   2. targets W' = W A H^-1: the weights that make of x_q what W makes of x_f (off with targets=0)
//   3. for each of several choices of scales, column updates on H (metric_rounding.h); each row keeps the best choice
//   4. coordinate descent on the levels, the scale solved again in between: s' = s q^T H w / q^T H q
//   5. bias b' = b + mean(y_f) - mean(y_q)
// Papers: Frantar et al., "GPTQ", ICLR 2023, arXiv:2210.17323; Li et al., "GPTAQ: Efficient Finetuning-Free
// Quantization for Asymmetric Calibration", arXiv:2504.02692, for targets from the float network's inputs.
#include "lowbit/methods/layer_rounding.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

const MethodOption kGptqOptions[] = {
    kDampingOption,
    kTargetsOption,
    {"order", 1, 0, 1, "1: columns with large inputs first"},
    kScalesOption,
    {"sweeps", 8, 0, 100, "sweeps of coordinate descent after the column updates"},
    kBiasOption,
    kFocusOption,
    kPositionsOption,
};

void apply_gptq(Graph& graph, const MethodContext& context) {
  const Method& method = gptq_method();
  const auto option = [&](std::string_view key) { return method.option(context, key); };
  round_layers(graph, context,
               {.damping = option("damping"),
                .targets = option("targets") != 0,
                .order = option("order") != 0,
                .scales = option("scales") != 0,
                .bias = option("bias") != 0,
                .sweeps = static_cast<int>(option("sweeps")),
                .focus = option("focus"),
                .positions = static_cast<int64_t>(option("positions"))},
               method.name);
}

}  // namespace

const Method& gptq_method() {
  static const Method method{.name = "gptq",
                             .summary =
                                 "column updates on the second moments of each layer's input, aimed at the float "
                                 "network's results",
                             .paper = "Frantar et al., ICLR 2023, arXiv:2210.17323; Li et al., arXiv:2504.02692",
                             .needs_data = true,
                             .apply = apply_gptq,
                             .options = kGptqOptions};
  return method;
}

}  // namespace lowbit
