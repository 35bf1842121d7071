// kmeans1d.h: the best k levels for points on a line.
#pragma once

#include <vector>

#include "lowbit/numbers/weighted_points.h"

namespace lowbit {

/// k ascending levels (the last repeated where there are fewer points) that minimise sum w (x - nearest level)^2.
/// Exact: dynamic programming over the sorted points; since the best beginning of the last cell never moves left as
/// points are added, each row is filled by divide and conquer in O(n log n). Above kMostWork = points * k, neighbours
/// are joined first and the levels then improved on all points by Lloyd's turns.
/// Papers: Wu, "Optimal quantization by matrix searching", J. Algorithms 1991; Gronlund et al., arXiv:1701.07204.
std::vector<double> kmeans_1d(const WeightedPoints& points, int k);

inline constexpr size_t kMostWork = size_t{1} << 21;

}  // namespace lowbit
