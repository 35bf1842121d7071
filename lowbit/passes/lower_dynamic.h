// lower_dynamic.h: layers whose input is quantized at inference, as ONNX's integer operators:
//   DynamicQuantizeLinear -> MatMulInteger or ConvInteger -> Cast -> times (s_x * s_w) -> plus bias
// Symmetric input and rows with parameters of their own have no operator; ReduceMax, Div, Round ... make their codes.
// Where the weights have no 8-bit integers, the codes go back to floats and the layer computes with decoded weights.
#pragma once

#include "lowbit/passes/lower_weights.h"

namespace lowbit {

/// Rewrites the layers that read dynamic values and takes the annotations of these values away.
void lower_dynamic(NodeWriter& writer, const LowerOptions& options);

}  // namespace lowbit
