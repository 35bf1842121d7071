// lower_qdq.h: the annotated graph becomes a plain ONNX graph with QuantizeLinear/DequantizeLinear pairs (QDQ form):
// integer weights on disk, activations quantized where ONNX Runtime's and OpenVINO's fusions expect it, so that fused
// and unfused execution round at the same points.
#pragma once

#include "lowbit/passes/lower_weights.h"

namespace lowbit {

/// Every annotated constant becomes codes with the nodes that decode them (lower_weights.h), in subgraphs too; every
/// annotated activation gets one QuantizeLinear -> DequantizeLinear pair, read by all its readers; the bias of an
/// integer layer becomes int32 codes at scale s_x * s_w. `hints` (may be null): what a reader needs to make annotations
/// of the decoding nodes again. Throws Error{unsupported} listing all annotations that ONNX cannot say.
Graph lower_qdq(const Graph& graph, const LowerOptions& options = {}, std::vector<WeightHint>* hints = nullptr);

/// The same with the hints in the metadata of the model.
Model lower_model(const Model& model, const LowerOptions& options = {});

}  // namespace lowbit
