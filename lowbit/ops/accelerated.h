// accelerated.h: fast float versions of a few operators (convolution and matrix products by oneDNN). Same contract as
// the reference; results differ from it only by the order of summation.
#pragma once

#include <string_view>

#include "lowbit/ops/op.h"

namespace lowbit {

/// What the evaluator asks of a fast version beside the operator itself; only of rows that offer it.
class FastContext : public EvalContext {
 public:
  using EvalContext::EvalContext;
  bool channels_last = false;  ///< rank-4 inputs are given as [N, H, W, C] (weights as ever), and so is output 0
  bool relu = false;           ///< output 0 is to be max(0, y)
};

/// Returns false if this case is not covered (then the reference runs); true if it filled the outputs.
using AcceleratedFn = bool (*)(FastContext& context);

/// A fast version of an operator of ai.onnx.
struct AcceleratedRow {
  std::string_view name;
  AcceleratedFn run;
  bool channels_last = false;  ///< can work on [N, H, W, C]
  bool relu = false;           ///< can apply a Relu that follows
};

/// Null if the operator has none.
const AcceleratedRow* find_accelerated(const OpDef& op);

}  // namespace lowbit
