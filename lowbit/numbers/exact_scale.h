// exact_scale.h: the scale of least squared error over all scales, for groups of few points and levels.
//
// With the points assigned to levels scale * u, the error sum w (x - scale u)^2 is least at scale = A / B, where
// A = sum w x u and B = sum w u^2, and is then sum w x^2 - A^2 / B. As the scale grows from 0, a point x crosses from
// one level to the next where scale = x / (their middle at scale 1), so there are only points * (levels - 1) different
// assignments, and each differs from the one before in one point: the search takes them in order and keeps the largest
// A^2 / B. No other scale has a smaller error: at a local minimum the derivative is zero, since the error is the least
// of the errors of all assignments and so has no kinks that point down.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "lowbit/numbers/scale_fit.h"
#include "lowbit/numbers/weighted_points.h"

namespace lowbit {

/// Crossings up to which the exact search takes less time than a search over shares of the range.
inline constexpr size_t kMostCrossings = 8192;

/// Crossings of these points with these unit levels, ascending.
size_t scale_crossings(std::span<const double> units, const WeightedPoints& points);

/// The best of all scales > 0; nothing if no scale is better than all zeros. Cost: sorting the crossings. The order of
/// crossings closer than 2^-24 is open, which costs the scale less than its rounding to float32.
std::optional<double> exact_scale(std::span<const double> units, const WeightedPoints& points);

}  // namespace lowbit
