#include "lowbit/runtime/steps/steps.h"

namespace lowbit {

std::span<const StepRow> step_table() {
  static constexpr StepRow kRows[] = {
      {"Conv", make_conv_step, "convolution: unrolled input times packed weights, depthwise tap by tap"},
      {"Gemm", make_matrix_step, "fully connected layer"},
      {"MatMul", make_matmul_step, "product with constant weights or of two activations"},
      {"LSTM", make_recurrent_step, "low-bit or 8-bit weights, activations quantized at each step, float gates"},
      {"GRU", make_recurrent_step, "low-bit or 8-bit weights, activations quantized at each step, float gates"},
      {"Add", make_sum_step, "sum of codes at two scales"},
      {"Sub", make_sum_step, "difference of codes at two scales"},
      {"Mul", make_mul_step, "product of codes"},
      {"Relu", make_lookup_step, "table over all codes"},
      {"Clip", make_lookup_step, "table over all codes"},
      {"LeakyRelu", make_lookup_step, "table over all codes"},
      {"Sigmoid", make_lookup_step, "table over all codes"},
      {"Tanh", make_lookup_step, "table over all codes"},
      {"HardSigmoid", make_lookup_step, "table over all codes"},
      {"HardSwish", make_lookup_step, "table over all codes"},
      {"Elu", make_lookup_step, "table over all codes"},
      {"Selu", make_lookup_step, "table over all codes"},
      {"Celu", make_lookup_step, "table over all codes"},
      {"Gelu", make_lookup_step, "table over all codes"},
      {"Swish", make_lookup_step, "table over all codes"},
      {"Mish", make_lookup_step, "table over all codes"},
      {"Softplus", make_lookup_step, "table over all codes"},
      {"Softsign", make_lookup_step, "table over all codes"},
      {"Abs", make_lookup_step, "table over all codes"},
      {"Neg", make_lookup_step, "table over all codes"},
      {"AveragePool", make_mean_step, "exact sums, one rounding"},
      {"GlobalAveragePool", make_mean_step, "exact sums, one rounding"},
      {"ReduceMean", make_mean_step, "exact sums over the spatial axes, one rounding"},
      {"Concat", make_concat_step, "moves codes, rescaled where parameters differ"},
      {"MaxPool", make_movement_step, "works on codes"},
      {"Reshape", make_movement_step, "moves codes"},
      {"Transpose", make_movement_step, "moves codes"},
      {"Flatten", make_movement_step, "moves codes"},
      {"Squeeze", make_movement_step, "moves codes"},
      {"Unsqueeze", make_movement_step, "moves codes"},
      {"Slice", make_movement_step, "moves codes"},
      {"Split", make_movement_step, "moves codes"},
      {"Expand", make_movement_step, "moves codes"},
      {"Tile", make_movement_step, "moves codes"},
      {"Gather", make_movement_step, "moves codes"},
      {"Pad", make_movement_step, "moves codes; the padding value is a code"},
      {"DepthToSpace", make_movement_step, "moves codes"},
      {"SpaceToDepth", make_movement_step, "moves codes"},
      {"Resize", make_movement_step, "nearest neighbour moves codes"},
      {"Identity", make_movement_step, "moves codes"},
  };
  return kRows;
}

}  // namespace lowbit
