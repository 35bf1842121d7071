// fold_constants.h: nodes whose inputs are all constant are computed once and replaced by their result.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit {

/// Folds Constant nodes, nodes with constant inputs (skipping nondeterministic ones, ones that cannot run here, and
/// results larger than `budget_bytes` that are larger than their inputs), Shape/Size of values with known dimensions,
/// and If with a constant condition (the branch is inlined); inside subgraphs too, with
/// the constants of the graphs around them. Returns the number of nodes folded.
int fold_constants(Graph& graph, int64_t budget_bytes = int64_t{64} << 20);

}  // namespace lowbit
