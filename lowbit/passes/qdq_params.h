// qdq_params.h: scale and zero point of QuantizeLinear and DequantizeLinear nodes <-> Quantization annotations.
#pragma once

#include <optional>

#include "lowbit/core/graph.h"

namespace lowbit {

/// The annotation that a QuantizeLinear or DequantizeLinear node means, if its scale (float32, finite, > 0) and zero
/// point are constants. `codes` is the integer type; `rank` that of the data, if known; `block` says how blocks of the
/// data's dims are to be cut. Nothing where the annotation cannot say it (then the node stays as it is).
std::optional<Quantization> annotation_of(const Graph& graph, const Node& node, DType codes, const Shape* data);

/// Signed formats without zero point leave out the lowest code if `codes` do not use it.
void narrow_if_unused(Quantization& quantization, const Tensor& codes);

/// Appends a node (with a free name) to the graph; returns its first output.
ValueId append_node(Graph& graph, const std::string& op, const std::string& name, std::vector<ValueId> inputs,
                    Attributes attributes = {}, DType type = DType::float32);

}  // namespace lowbit
