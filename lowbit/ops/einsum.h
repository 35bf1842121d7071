// einsum.h: Einstein summation, "ij,jk->ik" with "..." for broadcast dimensions.
#pragma once

#include <string>

#include "lowbit/ops/op.h"

namespace lowbit {

void infer_einsum(InferContext& context);
void run_einsum(EvalContext& context);

/// Product of all label sizes: the multiply-adds of a plain evaluation. 0 if the shapes are not all there.
int64_t einsum_multiply_adds(const Node& node, const std::vector<const Dims*>& inputs);

}  // namespace lowbit
