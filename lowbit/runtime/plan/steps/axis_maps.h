// axis_maps.h: results whose elements are chosen along each axis by a list that is known while planning: Gather by
// constant indices, Pad, Expand, Tile, slices that run backwards, nearest Resize.
#pragma once

#include "lowbit/runtime/plan/builder.h"

namespace lowbit::plan {

/// Index of the input along an axis for each index of the result; -1: the filling.
using AxisMap = std::vector<int64_t>;

/// y[i, j, ...] = x[maps[0][i], maps[1][j], ...]. Elements of 1, 2, 4 or 8 bytes; `fill` holds the bits of one.
void emit_axis_maps(Builder& builder, int32_t node, const View& x, const View& y, std::vector<AxisMap> maps,
                    uint64_t fill);

}  // namespace lowbit::plan
