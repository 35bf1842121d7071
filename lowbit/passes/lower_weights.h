// lower_weights.h: an annotated constant in a form that ONNX can say. Forms, by the number system:
//   intN, uintN          codes -> DequantizeLinear, in a type of their width where the opset has it, else unpacked
//                        first; groups as block_size (opset 21); blocks RxC as (code - zero point) * scale
//   fp8                  DequantizeLinear of 8-bit floats (opset 19; written in 21)
//   float16, bfloat16    Cast
//   vq                   packed codes -> Gather of rows of the codebook (lower_vectors.h)
//   everything else      packed codes -> Gather from a table of levels -> times scale
// All of them give the decoded float32 values bit for bit.
#pragma once

#include <optional>

#include "lowbit/passes/node_writer.h"
#include "lowbit/passes/weight_hints.h"

namespace lowbit {

struct LowerOptions {
  /// The newest opset whose types and options may be used; what they would say is otherwise said by unpacking nodes.
  int64_t max_opset = 21;
  /// Weights as plain float32 constants that hold the quantized values.
  bool simulate = false;
};

/// The ONNX type that holds the codes of a linear or 8-bit float format; undefined if there is none up to that opset.
DType onnx_code_type(const NumberFormat& format, int64_t max_opset);

/// Replaces constant and annotation of `id` by nodes that make its values. Returns a hint unless the nodes say all by
/// themselves. Throws Error{unsupported} for codes of more than 16 bits.
std::optional<WeightHint> lower_weight(NodeWriter& writer, ValueId id, const LowerOptions& options);

}  // namespace lowbit
