// downgrade.h: which opset a graph needs, and canonical nodes said in the words of opset 17, which the most programs
// read.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit::onnx_format {

inline constexpr int64_t kWidestOpset = 17;

/// kWidestOpset if every node and type of the graph and its subgraphs can be said in it, otherwise 21 or the later
/// opset that brought an operator.
int64_t needed_opset(const Graph& graph);

/// The node as opset 17 has it. Only for graphs whose needed_opset is 17.
Node as_opset_17(const Graph& graph, Node node);

}  // namespace lowbit::onnx_format
