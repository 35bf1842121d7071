// graph_writer.h: Graph -> GraphProto, all but the constants of the main graph, which the file writer streams.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "lowbit/core/graph.h"

namespace onnx {
class GraphProto;
class TensorProto;
}  // namespace onnx

namespace lowbit::onnx_format {

using NameSet = std::unordered_set<std::string>;

/// The name by which each value of a graph is known in the file.
using ValueNames = std::vector<std::string>;

/// Fills nodes, inputs, outputs and value infos of the main graph. Throws Error{internal} for a value that still
/// carries an annotation, Error{unsupported} for an input without element type.
void write_main_graph(const Graph& graph, int64_t opset, onnx::GraphProto& proto);

/// Every name that a node reads or that is an output, in the graph and its subgraphs. Constants under other names are
/// not written: nobody reads them, or a node says them as an attribute.
NameSet names_read(const onnx::GraphProto& proto);

/// Name, dims and type, without elements.
void write_tensor_header(const Tensor& tensor, const std::string& name, onnx::TensorProto& proto);
/// Elements as ONNX packs them: 4- and 2-bit codes share bytes.
size_t packed_bytes(const Tensor& tensor);
std::string pack_codes(const Tensor& tensor);

}  // namespace lowbit::onnx_format
