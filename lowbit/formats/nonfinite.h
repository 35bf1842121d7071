// nonfinite.h: weights that are NaN or infinite, which make every result useless; readers refuse them unless told not
// to.
#pragma once

#include <optional>

#include "lowbit/core/tensor.h"

namespace lowbit {

/// The index of the first element of a float tensor that is NaN or infinite.
std::optional<int64_t> first_nonfinite(const Tensor& tensor);

/// Constants of so few elements may hold infinity: limits of a Clip, masks.
inline constexpr int64_t kMostNonfiniteElements = 16;

}  // namespace lowbit
