// dtype.h: element types of tensors: those of ONNX. Sub-byte types are kept one code per byte in memory; files pack them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lowbit {

enum class DType : uint8_t {
  undefined,
  float32, float64, float16, bfloat16,
  int8, int16, int32, int64,
  uint8, uint16, uint32, uint64,
  bool_, string,
  int4, uint4, int2, uint2,
  float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz,
};

/// Bytes of one element in memory (int4 and int2 families: 1); 0 for undefined and string.
size_t dtype_bytes(DType type);
/// Bits of one element in a file (4 for int4).
int dtype_bits(DType type);
/// "float32", "bool", "int4" ...
std::string_view dtype_name(DType type);
std::optional<DType> dtype_from_name(std::string_view name);

bool is_float(DType type);    ///< float64, float32, float16, bfloat16 and the 8-bit floats
bool is_integer(DType type);  ///< signed and unsigned integers of any width; not bool
bool is_signed_integer(DType type);

template <typename T> inline constexpr DType dtype_of = DType::undefined;
template <> inline constexpr DType dtype_of<float> = DType::float32;
template <> inline constexpr DType dtype_of<double> = DType::float64;
template <> inline constexpr DType dtype_of<int8_t> = DType::int8;
template <> inline constexpr DType dtype_of<int16_t> = DType::int16;
template <> inline constexpr DType dtype_of<int32_t> = DType::int32;
template <> inline constexpr DType dtype_of<int64_t> = DType::int64;
template <> inline constexpr DType dtype_of<uint8_t> = DType::uint8;
template <> inline constexpr DType dtype_of<uint16_t> = DType::uint16;
template <> inline constexpr DType dtype_of<uint32_t> = DType::uint32;
template <> inline constexpr DType dtype_of<uint64_t> = DType::uint64;
template <> inline constexpr DType dtype_of<bool> = DType::bool_;

}  // namespace lowbit
