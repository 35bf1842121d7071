// infer_shapes.h: types and shapes of every value, with symbols; integer shape arithmetic (Shape -> Gather -> Concat -> Reshape) is followed.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit {

/// Fills dtype and shape of every value that can be known; keeps what is declared where inference knows less. Throws Error{bad_file} naming
/// the node where declared and inferred contradict each other, or where an operator's inputs cannot fit.
void infer_shapes(Graph& graph);

/// Replaces symbolic and unknown dimensions of the inputs by numbers (`symbols` by name; every other unknown by `fallback` if > 0), then infers.
void bind_symbols(Graph& graph, const std::map<std::string, int64_t, std::less<>>& symbols, int64_t fallback);

}  // namespace lowbit
