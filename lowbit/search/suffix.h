// suffix.h: the part of a network behind a node as a network of its own.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit::search {

/// The nodes from `first` on (topological order); values that they read and nodes before make, and graph inputs, become
/// inputs. Value ids stay. Outputs that are made before are left out; there may be none left.
Graph suffix_from(const Graph& graph, size_t first);

}  // namespace lowbit::search
