// control.h: what shape inference must know of the nodes with subgraphs.
#pragma once

#include "lowbit/ops/op.h"

namespace lowbit {

/// Fills types and shapes of a body's inputs (Loop, Scan) from the node's inputs; does nothing for other operators.
void seed_body_inputs(const InferContext& context, Graph& body);

}  // namespace lowbit
