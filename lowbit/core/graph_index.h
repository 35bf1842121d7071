// graph_index.h: producers and readers of a graph at one moment, and questions about them.
#pragma once

#include <optional>
#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

/// Make a new one after an edit that adds or removes edges.
struct GraphIndex {
  explicit GraphIndex(const Graph& graph) : producers(graph.producers()), uses(graph.uses()) {}
  std::vector<int32_t> producers;
  std::vector<std::vector<Graph::Use>> uses;

  /// Index of the node that makes the value, or -1.
  int32_t producer(ValueId id) const { return id == kNone ? -1 : producers[static_cast<size_t>(id)]; }
  const std::vector<Graph::Use>& readers(ValueId id) const { return uses[static_cast<size_t>(id)]; }
};

/// The only node that reads `id`, or -1 if there are none or several, a subgraph reads it, or it is a graph output.
int32_t only_reader(const Graph& graph, const GraphIndex& index, ValueId id);

/// The value of a constant with one element.
std::optional<double> scalar_constant(const Graph& graph, ValueId id);

}  // namespace lowbit
