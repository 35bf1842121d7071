// onnx_types.h: element types by their number in ONNX (TensorProto.DataType), as files and the attributes `to` and
// `dtype` carry it.
#pragma once

#include <cstdint>
#include <optional>

#include "lowbit/core/dtype.h"

namespace lowbit {

/// Nothing for complex numbers (14, 15), the 4- and 8-bit floats of block scales (23, 24), and numbers that ONNX does
/// not define.
std::optional<DType> dtype_of_onnx(int64_t number);
/// The inverse; 0 for undefined.
int32_t dtype_to_onnx(DType type);

}  // namespace lowbit
