// float8_format.h: which 8-bit float an element type is.
#pragma once

#include <optional>

#include "lowbit/base/small_floats.h"
#include "lowbit/core/dtype.h"

namespace lowbit {

/// Nothing for any other type.
inline std::optional<Float8> float8_format(DType type) {
  switch (type) {
    case DType::float8e4m3fn:
      return Float8::e4m3fn;
    case DType::float8e4m3fnuz:
      return Float8::e4m3fnuz;
    case DType::float8e5m2:
      return Float8::e5m2;
    case DType::float8e5m2fnuz:
      return Float8::e5m2fnuz;
    default:
      return std::nullopt;
  }
}

}  // namespace lowbit
