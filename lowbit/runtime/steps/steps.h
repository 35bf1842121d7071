// steps.h: the integer steps; runtime/steps/list.cpp says which operator each serves.
#pragma once

#include "lowbit/runtime/step.h"

namespace lowbit {

std::optional<Step> make_conv_step(const LowerContext& context, int32_t node, std::string& why);
std::optional<Step> make_matrix_step(const LowerContext& context, int32_t node,
                                     std::string& why);  ///< Gemm, MatMul by a constant matrix
std::optional<Step> make_product_step(const LowerContext& context, int32_t node,
                                      std::string& why);  ///< MatMul of two activations
std::optional<Step> make_matmul_step(const LowerContext& context, int32_t node,
                                     std::string& why);  ///< whichever of the two fits
std::optional<Step> make_sum_step(const LowerContext& context, int32_t node, std::string& why);  ///< Add, Sub
std::optional<Step> make_mul_step(const LowerContext& context, int32_t node, std::string& why);
std::optional<Step> make_lookup_step(const LowerContext& context, int32_t node,
                                     std::string& why);  ///< functions of one value
std::optional<Step> make_mean_step(const LowerContext& context, int32_t node,
                                   std::string& why);  ///< average pooling and ReduceMean
std::optional<Step> make_movement_step(const LowerContext& context, int32_t node, std::string& why);
std::optional<Step> make_recurrent_step(const LowerContext& context, int32_t node, std::string& why);  ///< LSTM, GRU
std::optional<Step> make_concat_step(const LowerContext& context, int32_t node, std::string& why);

}  // namespace lowbit
