// graph_codec.h: graphs as bytes (section MODL).
#pragma once

#include <functional>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/formats/lbq/annotations.h"
#include "lowbit/formats/lbq/cursor.h"
#include "lowbit/formats/lbq/tensors.h"

namespace lowbit::lbq {

/// Where the constants and annotations of a graph go to.
struct GraphTables {
  TensorTable& tensors;
  std::vector<std::string>& annotations;  ///< one record each
};

/// Values that nothing refers to are left out, and the others numbered anew.
void write_graph(const Graph& graph, GraphTables& tables, Writer& writer);

/// Where they come from.
struct GraphSources {
  std::function<Tensor(uint64_t index)> tensor;  ///< throws Error{bad_file} for an index that does not exist
  /// The same for the constant of a value.
  std::function<Tensor(const std::string& value, uint64_t index)> constant;
  const std::vector<AnnotationEntry>& annotations;
  /// Told of each value with a constant, the index of its tensor and the bytes of its parameters; may be empty.
  std::function<void(const Value& value, uint64_t tensor, uint64_t parameter_bytes)> on_constant = {};
};

/// A graph that is what core/graph.h promises: every id exists, names are unique, nodes are in topological order, every
/// value read is an input, a constant, a capture or made by an earlier node. Throws Error{bad_file} otherwise.
Graph read_graph(Cursor& cursor, const GraphSources& sources);

}  // namespace lowbit::lbq
