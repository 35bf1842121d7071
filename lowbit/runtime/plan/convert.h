// convert.h: the steps between representations: copies from one order of axes to another, real numbers to codes and
// back.
#pragma once

#include "lowbit/runtime/plan/builder.h"

namespace lowbit::plan {

/// The kernels' name of an element type, or nothing.
std::optional<kernels::Code> code_of(DType type);

/// to = from; any order and element type, the same dimensions.
Draft copy_draft(const View& from, const View& to);
/// Codes of float32 values by a per-tensor linear annotation.
Draft encode_draft(const View& from, const View& to, const Quantization& quantization);
/// float32 values of codes.
Draft decode_draft(const View& from, const View& to, const Quantization& quantization);

}  // namespace lowbit::plan
