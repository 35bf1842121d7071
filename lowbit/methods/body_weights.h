// body_weights.h: weights inside the subgraphs of a graph (If, Loop, Scan), and the rounding that they share with
// others.
#pragma once

#include "lowbit/methods/placement.h"

namespace lowbit {

/// The values that are stored: the weight itself where rounding is to nearest (its codes follow from it), the decoded
/// codes otherwise. The random numbers of an element depend on the seed, `name` and its place only.
Tensor rounded_weight(const Recipe& recipe, const Quantization& quantization, const std::string& name,
                      const Tensor& weight);

/// Annotates the weights inside the subgraphs, own or of enclosing graphs. Bodies are copied first, as copies of a
/// graph share them. A constant that is annotated already stays as it is. `auto:N` is intN there.
void annotate_bodies(Graph& graph, const Recipe& recipe);

}  // namespace lowbit
