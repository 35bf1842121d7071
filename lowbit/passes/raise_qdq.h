// raise_qdq.h: quantized ONNX files become annotated float graphs. QuantizeLinear/DequantizeLinear pairs and QOperator
// nodes exist only in files: this pass folds them into annotations on import, passes/lower_qdq.h writes them on export.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit {

/// Folds, wherever scale and zero point are constants:
///   - DequantizeLinear of an integer constant -> a constant of the same codes with an annotation, whatever its
///   granularity (tensor, channel, blocks);
///     an int32 constant (a bias) becomes plain float and is not annotated
///   - QuantizeLinear -> DequantizeLinear between activations -> the annotation of the value; several readers, several
///   pairs with equal parameters
///   - QLinearConv, QLinearMatMul, QLinearAdd/Mul/Concat/... (com.microsoft), ConvInteger, MatMulInteger,
///   DynamicQuantizeLinear where they form the
///     known patterns -> the float operator with annotated inputs, weights and output
/// A lone QuantizeLinear or DequantizeLinear at a graph input or output of integer type stays as a node.
/// Returns the number of nodes removed. The float graph computes (up to float rounding) what the file computes.
int raise_qdq(Graph& graph);

}  // namespace lowbit
