#include "lowbit/core/dtype.h"

#include <array>

namespace lowbit {
namespace {

enum class Kind : uint8_t { other, floating, signed_integer, unsigned_integer };

struct Row {
  DType type;
  std::string_view name;
  uint8_t bytes, bits;
  Kind kind;
};

constexpr std::array kRows = {
    Row{DType::undefined, "undefined", 0, 0, Kind::other},
    Row{DType::float32, "float32", 4, 32, Kind::floating},
    Row{DType::float64, "float64", 8, 64, Kind::floating},
    Row{DType::float16, "float16", 2, 16, Kind::floating},
    Row{DType::bfloat16, "bfloat16", 2, 16, Kind::floating},
    Row{DType::int8, "int8", 1, 8, Kind::signed_integer},
    Row{DType::int16, "int16", 2, 16, Kind::signed_integer},
    Row{DType::int32, "int32", 4, 32, Kind::signed_integer},
    Row{DType::int64, "int64", 8, 64, Kind::signed_integer},
    Row{DType::uint8, "uint8", 1, 8, Kind::unsigned_integer},
    Row{DType::uint16, "uint16", 2, 16, Kind::unsigned_integer},
    Row{DType::uint32, "uint32", 4, 32, Kind::unsigned_integer},
    Row{DType::uint64, "uint64", 8, 64, Kind::unsigned_integer},
    Row{DType::bool_, "bool", 1, 8, Kind::other},
    Row{DType::string, "string", 0, 0, Kind::other},
    Row{DType::int4, "int4", 1, 4, Kind::signed_integer},
    Row{DType::uint4, "uint4", 1, 4, Kind::unsigned_integer},
    Row{DType::int2, "int2", 1, 2, Kind::signed_integer},
    Row{DType::uint2, "uint2", 1, 2, Kind::unsigned_integer},
    Row{DType::float8e4m3fn, "float8e4m3fn", 1, 8, Kind::floating},
    Row{DType::float8e4m3fnuz, "float8e4m3fnuz", 1, 8, Kind::floating},
    Row{DType::float8e5m2, "float8e5m2", 1, 8, Kind::floating},
    Row{DType::float8e5m2fnuz, "float8e5m2fnuz", 1, 8, Kind::floating},
};

constexpr bool rows_in_order() {
  for (size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].type != static_cast<DType>(i)) return false;
  return true;
}
static_assert(rows_in_order());

const Row& row(DType type) { return kRows[static_cast<size_t>(type) < kRows.size() ? static_cast<size_t>(type) : 0]; }

}  // namespace

size_t dtype_bytes(DType type) { return row(type).bytes; }
int dtype_bits(DType type) { return row(type).bits; }
std::string_view dtype_name(DType type) { return row(type).name; }
bool is_float(DType type) { return row(type).kind == Kind::floating; }
bool is_integer(DType type) { return row(type).kind == Kind::signed_integer || row(type).kind == Kind::unsigned_integer; }
bool is_signed_integer(DType type) { return row(type).kind == Kind::signed_integer; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& candidate : kRows)
    if (candidate.name == name) return candidate.type;
  return std::nullopt;
}

}  // namespace lowbit
