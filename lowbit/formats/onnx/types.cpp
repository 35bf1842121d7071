#include "lowbit/formats/onnx/types.h"

#include <array>

namespace lowbit::onnx_format {
namespace {

struct Row {
  int32_t number;
  DType type;
  int64_t opset;
};

constexpr std::array kRows = {
    Row{1, DType::float32, 1},        Row{2, DType::uint8, 1},
    Row{3, DType::int8, 1},           Row{4, DType::uint16, 1},
    Row{5, DType::int16, 1},          Row{6, DType::int32, 1},
    Row{7, DType::int64, 1},          Row{8, DType::string, 1},
    Row{9, DType::bool_, 1},          Row{10, DType::float16, 1},
    Row{11, DType::float64, 1},       Row{12, DType::uint32, 1},
    Row{13, DType::uint64, 1},        Row{16, DType::bfloat16, 13},
    Row{17, DType::float8e4m3fn, 19}, Row{18, DType::float8e4m3fnuz, 19},
    Row{19, DType::float8e5m2, 19},   Row{20, DType::float8e5m2fnuz, 19},
    Row{21, DType::uint4, 21},        Row{22, DType::int4, 21},
    Row{25, DType::uint2, 25},        Row{26, DType::int2, 25},
};

}  // namespace

std::optional<DType> dtype_from_onnx(int32_t type) {
  for (const Row& row : kRows)
    if (row.number == type) return row.type;
  return std::nullopt;
}

int32_t dtype_to_onnx(DType type) {
  for (const Row& row : kRows)
    if (row.type == type) return row.number;
  return 0;
}

int64_t opset_of_dtype(DType type) {
  for (const Row& row : kRows)
    if (row.type == type) return row.opset;
  return 1;
}

}  // namespace lowbit::onnx_format
