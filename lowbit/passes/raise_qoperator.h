// raise_qoperator.h: the first half of raise_qdq: operators that compute on codes are said as DequantizeLinear -> float
// operator -> QuantizeLinear, and the integer layers of dynamic quantization as float layers with a dynamic annotation.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit {

/// QLinearConv, QLinearMatMul and the com.microsoft QLinear* and QGemm operators. Returns the number rewritten; the
/// graph has to be sorted afterwards.
int expand_qoperators(Graph& graph);

/// Operators that move codes (MaxPool, Reshape, Transpose ...) of a QuantizeLinear: they move the floats instead, which
/// gives the same codes. Returns the number rewritten; the graph has to be sorted afterwards.
int move_floats(Graph& graph);

/// DynamicQuantizeLinear -> MatMulInteger or ConvInteger -> Cast -> Mul(scales). Returns the number of layers
/// rewritten; what is left over is dead; the graph has to be sorted afterwards.
int raise_dynamic(Graph& graph);

}  // namespace lowbit
