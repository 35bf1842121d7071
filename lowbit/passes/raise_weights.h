// raise_weights.h: the decoding nodes of lower_weights.h become annotations again.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit {

/// For each hint in the model's metadata computes what the nodes before the named value give, in subgraphs too; if the
/// hinted number system gives exactly these values, the value becomes an annotated constant and the nodes go. What does
/// not agree stays as it is. Returns the number of constants raised.
int raise_weights(Model& model);

/// Everything that makes annotations of what a file says: raise_weights, then raise_qdq. Returns the number of places.
int raise_model(Model& model);

}  // namespace lowbit
