#include "lowbit/passes/rewrite.h"

#include "lowbit/core/tensor.h"

namespace lowbit {

void erase_nodes(Graph& graph, const std::set<int32_t>& dead) {
  size_t kept = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (dead.count(static_cast<int32_t>(n))) continue;
    if (kept != n) graph.nodes[kept] = std::move(graph.nodes[n]);
    ++kept;
  }
  graph.nodes.resize(kept);
}

std::vector<float> float_values(const Graph& graph, ValueId id) {
  const Tensor values = to_float32(*graph.constant(id));
  return {values.values<float>().begin(), values.values<float>().end()};
}

}  // namespace lowbit
