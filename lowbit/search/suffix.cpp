#include "lowbit/search/suffix.h"

#include <algorithm>

namespace lowbit::search {

Graph suffix_from(const Graph& graph, size_t first) {
  Graph result = graph;
  result.nodes.erase(result.nodes.begin(),
                     result.nodes.begin() + static_cast<int64_t>(std::min(first, graph.nodes.size())));
  std::vector<char> made(graph.values.size(), 0), wanted(graph.values.size(), 0);
  const auto read = [&](ValueId id) {
    if (id == kNone || made[static_cast<size_t>(id)] || wanted[static_cast<size_t>(id)] || graph.constant(id)) return;
    wanted[static_cast<size_t>(id)] = 1;
    result.inputs.push_back(id);
  };
  result.inputs.clear();
  for (const Node& node : result.nodes) {
    for (const ValueId id : node.inputs) read(id);
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body)
        for (const auto& [outer, inner] : (*body)->captures) read(outer);
    for (const ValueId id : node.outputs)
      if (id != kNone) made[static_cast<size_t>(id)] = 1;
  }
  std::erase_if(result.outputs, [&](ValueId id) { return !made[static_cast<size_t>(id)]; });
  return result;
}

}  // namespace lowbit::search
