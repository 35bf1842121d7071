// checked.h: arithmetic on sizes that come from files. Every product and sum of such numbers goes through here.
#pragma once

#include <cstdint>
#include <span>

#include "lowbit/base/error.h"

namespace lowbit {

/// a * b; throws Error{bad_file} if the product does not fit int64.
inline int64_t checked_mul(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result)) throw Error(ErrorCode::bad_file, "a size overflows 64 bits (the file is damaged)");
  return result;
}

/// a + b; throws Error{bad_file} if the sum does not fit int64.
inline int64_t checked_add(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_add_overflow(a, b, &result)) throw Error(ErrorCode::bad_file, "a size overflows 64 bits (the file is damaged)");
  return result;
}

/// The product of the dimensions (1 for none). Throws Error{bad_file} for a negative dimension or an overflow.
inline int64_t checked_product(std::span<const int64_t> dims) {
  int64_t product = 1;
  bool zero = false;
  for (int64_t dim : dims) {
    if (dim < 0) throw Error(ErrorCode::bad_file, "a dimension is negative (the file is damaged)");
    if (dim == 0) zero = true;
    else product = checked_mul(product, dim);
  }
  return zero ? 0 : product;
}

}  // namespace lowbit
