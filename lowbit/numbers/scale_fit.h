// scale_fit.h: the scale of systems whose levels are scale * (fixed unit levels).
#pragma once

#include <span>
#include <vector>

#include "lowbit/numbers/fit_data.h"
#include "lowbit/numbers/weighted_points.h"

namespace lowbit {

struct ScaleFit {
  double error = 0;
  double scale = 1;
};

/// The smallest usable scale whose levels reach over [low, high]: max(high / units.back(), low / units.front()); ends
/// without levels on their side do not count. 1 for a zero range.
float covering_scale(std::span<const double> units, ValueRange range);

/// The scale that minimises the squared error of the levels scale * units, units ascending: the best of all for few
/// points (exact_scale.h). For more, since the error has many local minima: shares of `full` from 2^-12 to 1.4, in
/// steps of 1/200 (above 4096 points of 1/50, then finer around the best), and from the best three, least squares in
/// turns (cells for given levels; scale = sum(w x u) / sum(w u^2) for given cells). Cost: about 330 (130) sweeps of
/// units.size() binary searches.
ScaleFit best_scale(std::span<const double> units, const WeightedPoints& points, double full);

/// Error of one scale.
double scale_error(std::span<const double> units, const WeightedPoints& points, double scale);

/// The unit levels of a format whose first parameter is the scale: its finite levels at scale 1, ascending, each once.
std::vector<double> unit_levels(const NumberFormat& format, const float* params);

/// fit() of a format with the single parameter {scale} and these unit levels: covering, or of least error.
float fitted_scale(std::span<const double> units, const FitData& data, const FitOptions& options);

}  // namespace lowbit
