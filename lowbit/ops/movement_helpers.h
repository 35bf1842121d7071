// movement_helpers.h: views of a tensor by strides, and strings in the operators that move elements. A string tensor
// is moved by moving its indices.
#pragma once

#include <functional>
#include <vector>

#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/strided_copy.h"

namespace lowbit {

/// The dense tensor of `dims` whose element at index i is x[offset + sum i_k * strides_k]. All addresses must be inside
/// x; checked by the callers from the shapes.
Tensor gather_strided(const Node& node, const Tensor& x, Dims dims, int64_t offset, Dims strides);

/// Writes the dense tensor x into `y` at `offset` with the strides of y.
void place_strided(const Tensor& x, Tensor& y, int64_t offset, const Dims& strides);

/// x with its dimensions in the order of `perm` (a permutation of 0 ... rank - 1).
Tensor transposed(const Node& node, const Tensor& x, const std::vector<int64_t>& perm);

/// move(x) where x may hold strings: then `move` sees their int64 indices, and the result is looked up.
Tensor move_elements(const Tensor& x, const std::function<Tensor(const Tensor&)>& move);

}  // namespace lowbit
