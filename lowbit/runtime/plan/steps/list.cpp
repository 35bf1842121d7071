#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {

std::span<const StepRow> step_rows() {
  static constexpr StepRow kRows[] = {
      {"Conv", make_lowbit_conv, true, "codes: weights of at most 16 levels kept packed; dynamic input"},
      {"Gemm", make_lowbit_matrix, true, "codes: weights of at most 16 levels kept packed; dynamic input"},
      {"MatMul", make_lowbit_matrix, true, "codes: weights of at most 16 levels kept packed; dynamic input"},
      {"Conv", make_conv, true, "codes: convolution with bias, activation, requantization and residual sum fused"},
      {"Gemm", make_matrix, true, "codes: fully connected layer with everything behind it fused"},
      {"MatMul", make_matrix, true, "codes: product with constant weights"},
      {"MatMul", make_product, true, "product of two activations on codes"},
      {"LSTM", make_recurrent, true, "low-bit weights, codes of the activations, float32 gates"},
      {"GRU", make_recurrent, true, "low-bit weights, codes of the activations, float32 gates"},
      {"Add", make_sum, true, "sum of codes at two scales"},
      {"Sub", make_sum, true, "difference of codes at two scales"},
      {"Mul", make_mul, true, "product of codes"},
      {"Relu", make_lookup, true, "table over all codes"},
      {"Clip", make_lookup, true, "table over all codes"},
      {"LeakyRelu", make_lookup, true, "table over all codes"},
      {"Sigmoid", make_lookup, true, "table over all codes"},
      {"Tanh", make_lookup, true, "table over all codes"},
      {"HardSigmoid", make_lookup, true, "table over all codes"},
      {"HardSwish", make_lookup, true, "table over all codes"},
      {"Elu", make_lookup, true, "table over all codes"},
      {"Selu", make_lookup, true, "table over all codes"},
      {"Celu", make_lookup, true, "table over all codes"},
      {"Gelu", make_lookup, true, "table over all codes"},
      {"Swish", make_lookup, true, "table over all codes"},
      {"Mish", make_lookup, true, "table over all codes"},
      {"Softplus", make_lookup, true, "table over all codes"},
      {"Softsign", make_lookup, true, "table over all codes"},
      {"Abs", make_lookup, true, "table over all codes"},
      {"Neg", make_lookup, true, "table over all codes"},
      {"MaxPool", make_max_pool, true, "largest code of each window"},
      {"AveragePool", make_mean, true, "exact sums of codes, one rounding"},
      {"GlobalAveragePool", make_mean, true, "exact sums of codes, one rounding"},
      {"ReduceMean", make_mean, true, "exact sums of codes over the spatial axes, one rounding"},
      {"Reshape", make_reshape, true, "a view"},
      {"Flatten", make_reshape, true, "a view"},
      {"Squeeze", make_reshape, true, "a view"},
      {"Unsqueeze", make_reshape, true, "a view"},
      {"Identity", make_reshape, true, "a view"},
      {"Transpose", make_transpose, true, "a view"},
      {"Slice", make_slice, true, "a view"},
      {"Split", make_split, true, "views"},
      {"Pad", make_pad, true, "done by the convolution behind it, else a fill and a copy"},
      {"Pad", make_repeating_pad, true, "elements chosen by axis"},
      {"Gather", make_gather, true, "a view, elements chosen by axis, or rows by indices of the run"},
      {"Expand", make_expand, true, "elements chosen by axis"},
      {"Tile", make_expand, true, "elements chosen by axis"},
      {"Concat", make_concat, true, "inputs are written into the result where they are made"},
      {"Conv", make_grouped_conv, false, "codes: weights with scales per group kept packed, float32 results"},
      {"Gemm", make_grouped_matrix, false, "codes: weights with scales per group kept packed, float32 results"},
      {"MatMul", make_grouped_matrix, false, "codes: weights with scales per group kept packed, float32 results"},
      {"Conv", make_real_conv, false, "float32 convolution with bias and activation fused"},
      {"Gemm", make_real_matrix, false, "float32 fully connected layer"},
      {"MatMul", make_real_matrix, false, "float32 product with constant weights"},
      {"LSTM", make_real_recurrent, false, "float32, weights also packed in few bits"},
      {"GRU", make_real_recurrent, false, "float32, weights also packed in few bits"},
      {"RNN", make_real_recurrent, false, "float32, weights also packed in few bits"},
      {"MatMul", make_real_product, false, "float32 product of two activations"},
      {"ReduceMean", make_real_reduce, false, "float32, any axes"},
      {"ReduceSum", make_real_reduce, false, "float32, any axes"},
      {"ReduceMax", make_real_reduce, false, "float32, any axes"},
      {"ReduceMin", make_real_reduce, false, "float32, any axes"},
      {"GlobalAveragePool", make_real_reduce, false, "float32"},
      {"AveragePool", make_real_pool, false, "float32"},
      {"MaxPool", make_real_pool, false, "float32"},
      {"BatchNormalization", make_batch_norm, false, "float32: a factor and a shift by channel"},
      {"Pow", make_pow, false, "float32, constant exponent"},
      {"Softmax", make_softmax, false, "float32 along the last axis"},
      {"LayerNormalization", make_layer_norm, false, "float32 over the last axis"},
      {"Relu", make_real_unary, false, "float32"},
      {"Clip", make_real_unary, false, "float32"},
      {"Exp", make_real_unary, false, "float32"},
      {"Sigmoid", make_real_unary, false, "float32"},
      {"Tanh", make_real_unary, false, "float32"},
      {"Erf", make_real_unary, false, "float32"},
      {"Gelu", make_real_unary, false, "float32"},
      {"Sqrt", make_real_unary, false, "float32"},
      {"HardSwish", make_real_unary, false, "float32"},
      {"Add", make_real_binary, true, "float32, any broadcast"},
      {"Sub", make_real_binary, true, "float32, any broadcast"},
      {"Mul", make_real_binary, true, "float32, any broadcast"},
      {"Div", make_real_binary, true, "float32, any broadcast"},
      {"Cast", make_cast, true, "to float32"},
      {"Shape", make_shape, true, "known while planning"},
      {"Constant", make_known, true, "known while planning"},
      {"Gather", make_known, true, "known while planning"},
      {"Slice", make_known, true, "known while planning"},
      {"Concat", make_known, true, "known while planning"},
      {"Unsqueeze", make_known, true, "known while planning"},
      {"Squeeze", make_known, true, "known while planning"},
      {"Cast", make_known, true, "known while planning"},
      {"Identity", make_known, true, "known while planning"},
      {"Add", make_known, true, "known while planning"},
      {"Sub", make_known, true, "known while planning"},
      {"Mul", make_known, true, "known while planning"},
      {"Div", make_known, true, "known while planning"},
  };
  return kRows;
}

bool is_float32(const Builder& builder, ValueId id) {
  if (const Tensor* known = builder.known(id)) return known->dtype() == DType::float32;
  const DType type = builder.graph().value(id).dtype;
  return type == DType::float32 || type == DType::undefined;
}

std::vector<StepRow> find_rows(const Node& node) {
  std::vector<StepRow> rows;
  if (!node.domain.empty()) return rows;
  for (const StepRow& row : step_rows())
    if (row.op == node.op) rows.push_back(row);
  return rows;
}

}  // namespace lowbit::plan
