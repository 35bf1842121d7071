// graph_reader.h: GraphProto -> Graph. Names become value ids, subgraphs get their captures, every node is upgraded to
// the canonical opset, and everything that a sound graph has is checked.
#pragma once

#include "lowbit/core/graph.h"
#include "lowbit/formats/onnx/functions.h"
#include "lowbit/formats/onnx/scope.h"
#include "lowbit/formats/onnx/tensors.h"

namespace onnx {
class GraphProto;
}

namespace lowbit::onnx_format {

struct GraphReadContext {
  TensorReader& tensors;
  const NodeOpsets& node_opsets;
  int64_t opset;  ///< of ai.onnx
};

/// Reads the main graph (parent null) or a subgraph. Throws Error{bad_file} naming node and value for duplicate or
/// undefined names, cycles, missing outputs and damaged tensors.
Graph read_graph(const onnx::GraphProto& proto, GraphScope* parent, const GraphReadContext& context);

/// Every index is in range, every value that is read is an input, a constant, a capture or the output of an earlier
/// node, and names are unique. Throws Error{bad_file} otherwise. For tests and for what upgrades leave behind.
void validate(const Graph& graph);

}  // namespace lowbit::onnx_format
