#include "lowbit/core/onnx_types.h"

#include <algorithm>
#include <array>

namespace lowbit {
namespace {

/// Indexed by the number.
constexpr std::array kOnnxTypes = {
    DType::undefined,      DType::float32,  DType::uint8,        DType::int8,           DType::uint16,
    DType::int16,          DType::int32,    DType::int64,        DType::string,         DType::bool_,
    DType::float16,        DType::float64,  DType::uint32,       DType::uint64,         DType::undefined,
    DType::undefined,      DType::bfloat16, DType::float8e4m3fn, DType::float8e4m3fnuz, DType::float8e5m2,
    DType::float8e5m2fnuz, DType::uint4,    DType::int4,         DType::undefined,      DType::undefined,
    DType::uint2,          DType::int2,
};

}  // namespace

std::optional<DType> dtype_of_onnx(int64_t number) {
  if (number <= 0 || number >= static_cast<int64_t>(kOnnxTypes.size())) return std::nullopt;
  const DType type = kOnnxTypes[static_cast<size_t>(number)];
  return type == DType::undefined ? std::nullopt : std::optional(type);
}

int32_t dtype_to_onnx(DType type) {
  const auto at = std::find(kOnnxTypes.begin(), kOnnxTypes.end(), type);
  return at == kOnnxTypes.end() ? 0 : static_cast<int32_t>(at - kOnnxTypes.begin());
}

}  // namespace lowbit
