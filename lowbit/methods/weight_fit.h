// weight_fit.h: number system, granularity and parameters of one weight, and its rounding: what annotating the layers
// of a graph and those inside subgraphs have in common.
#pragma once

#include "lowbit/methods/placement.h"

namespace lowbit {

/// Fits the layer's number system to a weight by the recipe's range rule. weight: float32.
Quantization fit_weight(const Recipe& recipe, const LayerSettings& settings, const WeightSlot& slot,
                        const Tensor& weight);

/// The values that are stored: the weight itself where rounding is to nearest (its codes follow from it), the decoded
/// codes otherwise. The random numbers of an element depend on the seed, `name` and its place only.
Tensor rounded_weight(const Recipe& recipe, const Quantization& quantization, const std::string& name,
                      const Tensor& weight);

/// Annotates the weights inside the subgraphs of a graph (If, Loop, Scan), own or of enclosing graphs. Bodies are
/// copied first, as copies of a graph share them. A constant that is annotated already stays as it is.
void annotate_bodies(Graph& graph, const Recipe& recipe);

}  // namespace lowbit
