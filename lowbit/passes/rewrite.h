// rewrite.h: small helpers that passes share.
#pragma once

#include <set>
#include <vector>

#include "lowbit/core/graph_index.h"

namespace lowbit {

/// Removes the marked nodes (by index), keeping order.
void erase_nodes(Graph& graph, const std::set<int32_t>& dead);

/// A constant as float32, made anew (never a view), to be edited.
std::vector<float> float_values(const Graph& graph, ValueId id);

}  // namespace lowbit
