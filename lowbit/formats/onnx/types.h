// types.h: element types of ONNX (TensorProto.DataType) and ours. The generated classes know the types up to IR version
// 8; the later ones are plain numbers in the file, so the table holds numbers.
#pragma once

#include <cstdint>
#include <optional>

#include "lowbit/core/dtype.h"

namespace lowbit::onnx_format {

/// Nothing for complex numbers, 4- and 8-bit exponent floats, and numbers that ONNX does not define.
std::optional<DType> dtype_from_onnx(int32_t type);
/// 0 for undefined.
int32_t dtype_to_onnx(DType type);
/// The first opset whose models may hold the type.
int64_t opset_of_dtype(DType type);

}  // namespace lowbit::onnx_format
