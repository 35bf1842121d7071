// softmax.h: operators that normalize every line along one axis: softmax, its logarithm, the one-hot maximum, and the
// division by the 1- or 2-norm.
#pragma once

#include "lowbit/ops/op.h"

namespace lowbit {

void run_softmax(EvalContext& context);
void run_log_softmax(EvalContext& context);
void run_hardmax(EvalContext& context);
void run_lp_normalization(EvalContext& context);
/// All four: like the input; checks the axis.
void infer_softmax(InferContext& context);

}  // namespace lowbit
