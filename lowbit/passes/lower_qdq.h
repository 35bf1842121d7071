// lower_qdq.h: the annotated graph becomes a plain ONNX graph with QuantizeLinear/DequantizeLinear pairs (QDQ form): integer weights on disk, activations
// quantized where ONNX Runtime's and OpenVINO's fusions expect it, so that fused and unfused execution round at the same points.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit {

/// Every annotated constant becomes integer codes + DequantizeLinear; every annotated activation gets one QuantizeLinear -> DequantizeLinear pair,
/// read by all its readers; the bias of an integer layer becomes int32 codes at scale s_x * s_w. Throws Error{unsupported} listing all annotations that
/// ONNX cannot say (number systems other than linear; widths without an ONNX type).
Graph lower_qdq(const Graph& graph);

}  // namespace lowbit
