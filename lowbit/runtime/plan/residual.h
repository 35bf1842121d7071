// residual.h: Add and Sub of codes (docs/integer-semantics.md, "Add"): its factors, and whether it can be fused behind
// the layer that makes one operand.
#pragma once

#include "lowbit/kernels/qeltwise.h"
#include "lowbit/runtime/plan/builder.h"

namespace lowbit::plan {

/// The factors of a + b (or a - b) -> y.
kernels::QAddFactors sum_factors(LinearParams a, LinearParams b, LinearParams y, bool subtracts);

/// The sum behind a layer.
struct FusedSum {
  ValueId other;   ///< the other operand, already computed
  ValueId output;  ///< behind the sum's own activation
  kernels::Code type;
  kernels::QResidual residual;
  std::vector<int32_t> nodes;
};
/// The Add or Sub that is the only reader of `result`, if its other operand is computed, has the same dims, and all are
/// 8-bit codes.
std::optional<FusedSum> find_residual(const Builder& builder, ValueId result, const Dims& dims);

}  // namespace lowbit::plan
