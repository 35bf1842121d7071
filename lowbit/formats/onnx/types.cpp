#include "lowbit/formats/onnx/types.h"

namespace lowbit::onnx_format {

int64_t opset_of_dtype(DType type) {
  switch (type) {
    case DType::bfloat16:
      return 13;
    case DType::float8e4m3fn:
    case DType::float8e4m3fnuz:
    case DType::float8e5m2:
    case DType::float8e5m2fnuz:
      return 19;
    case DType::uint4:
    case DType::int4:
      return 21;
    case DType::uint2:
    case DType::int2:
      return 25;
    default:
      return 1;
  }
}

}  // namespace lowbit::onnx_format
