// losses.h: classification losses, forward only.
#pragma once

#include "lowbit/ops/op.h"

namespace lowbit {

void run_negative_log_likelihood(EvalContext& context);
void run_softmax_cross_entropy(EvalContext& context);
void infer_loss(InferContext& context);

}  // namespace lowbit
