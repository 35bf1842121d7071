// weight_slots.h: which inputs of an operator are weights, and along which axis their channels lie. One table for all
// operators; a constant in such a place can be stored in few bits whatever the operator computes with.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

struct WeightSlot {
  size_t input = 1;  ///< position among the node's inputs
  int64_t axis = 0;  ///< of the channels
  /// > 0: what a channel is, is not one index of `axis` but one run of this many elements behind it: the gate rows of
  /// two directions, the matrices of a batch, the groups of a ConvTranspose.
  int64_t run = 0;
};

/// The weight inputs of a node: float32 constants of rank 2 or more. `constant` gives the constant of an input or null;
/// in a subgraph it may belong to an enclosing graph.
std::vector<WeightSlot> weight_slots(const Node& node, const std::function<const Tensor*(ValueId)>& constant);
std::vector<WeightSlot> weight_slots(const Graph& graph, const Node& node);

/// `granularity` (as the user named it) for the weight of a slot.
Granularity slot_granularity(const std::string& granularity, const WeightSlot& slot);

}  // namespace lowbit
