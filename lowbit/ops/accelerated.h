// accelerated.h: fast float versions of a few operators (convolution and matrix products by oneDNN). Same contract as the reference; results
// differ from it only by the order of summation.
#pragma once

#include "lowbit/ops/op.h"

namespace lowbit {

/// Returns false if this case is not covered (then the reference runs); true if it filled the outputs.
using AcceleratedFn = bool (*)(EvalContext& context);

/// Null if the operator has none.
AcceleratedFn find_accelerated(const OpDef& op);

}  // namespace lowbit
