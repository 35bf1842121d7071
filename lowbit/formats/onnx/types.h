// types.h: what ONNX asks of the models that hold an element type.
#pragma once

#include <cstdint>

#include "lowbit/core/dtype.h"

namespace lowbit::onnx_format {

/// The first opset whose models may hold the type.
int64_t opset_of_dtype(DType type);

}  // namespace lowbit::onnx_format
