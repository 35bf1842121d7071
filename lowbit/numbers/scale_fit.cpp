#include "lowbit/numbers/scale_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lowbit/numbers/exact_scale.h"

namespace lowbit {
namespace {

constexpr int kFineSteps = 200;
constexpr int kCoarse = 4;           ///< fine steps in a coarse one
constexpr size_t kFewPoints = 4096;  ///< that every fine step is tried on

/// One sweep: the error of a scale, and the least-squares scale of its cells.
struct Sweep {
  double error = 0, next = 0;
};

Sweep sweep(std::span<const double> units, const WeightedPoints& points, double scale) {
  Sweep result;
  std::array<double, 256> few;
  std::vector<double> many;
  if (units.size() > few.size()) many.resize(units.size());
  const std::span<double> levels(many.empty() ? few.data() : many.data(), units.size());
  for (size_t k = 0; k < units.size(); ++k) levels[k] = scale * units[k];
  double ux = 0, uu = 0;
  points.for_each_cell(levels, [&](size_t k, const WeightedPoints::Sums& s) {
    result.error += std::max(0.0, s.error(levels[k]));
    ux += units[k] * s.wx;
    uu += units[k] * units[k] * s.w;
  });
  result.next = uu > 0 && ux > 0 ? ux / uu : scale;
  return result;
}

/// Keeps the three best of all that were tried.
class BestThree {
 public:
  void add(ScaleFit fit) {
    const auto at = std::upper_bound(fits_.begin(), fits_.end(), fit,
                                     [](const ScaleFit& a, const ScaleFit& b) { return a.error < b.error; });
    fits_.insert(at, fit);
    if (fits_.size() > 3) fits_.pop_back();
  }
  const std::vector<ScaleFit>& fits() const { return fits_; }

 private:
  std::vector<ScaleFit> fits_;
};

}  // namespace

float covering_scale(std::span<const double> units, ValueRange range) {
  double scale = 0;
  if (units.back() > 0) scale = std::max(scale, static_cast<double>(range.high) / units.back());
  if (units.front() < 0) scale = std::max(scale, static_cast<double>(range.low) / units.front());
  return usable_scale(scale);
}

double scale_error(std::span<const double> units, const WeightedPoints& points, double scale) {
  return sweep(units, points, scale).error;
}

ScaleFit best_scale(std::span<const double> units, const WeightedPoints& points, double full) {
  if (scale_crossings(units, points) <= kMostCrossings) {
    const double scale = exact_scale(units, points).value_or(full);
    return {sweep(units, points, scale).error, scale};
  }
  BestThree best;
  const auto attempt = [&](double share) { best.add({sweep(units, points, full * share).error, full * share}); };
  const int stride = points.size() <= kFewPoints ? 1 : kCoarse;
  for (int i = kFineSteps * 7 / 5; i > 0; i -= stride) attempt(static_cast<double>(i) / kFineSteps);
  // Far outliers: the best range may be a small share of theirs.
  for (double share = 1.0 / 64; share > 1.0 / 4096; share *= 0.75) attempt(share);
  const std::vector<ScaleFit> coarse = best.fits();
  for (const ScaleFit& fit : coarse)
    for (int i = 1 - stride; i < stride; ++i)
      if (i != 0) attempt(std::max(fit.scale / full + static_cast<double>(i) / kFineSteps, 1.0 / 4096));
  ScaleFit result = best.fits().front();
  for (ScaleFit fit : best.fits())
    for (int turn = 0; turn < 10; ++turn) {
      const Sweep here = sweep(units, points, fit.scale);
      if (turn > 0 && !(here.error < fit.error)) break;
      if (here.error < result.error) result = {here.error, fit.scale};
      fit = {here.error, here.next};
    }
  return result;
}

std::vector<double> unit_levels(const NumberFormat& format, const float* params) {
  std::vector<float> at_one(params, params + format.system->param_count(format));
  at_one[0] = 1;
  std::vector<double> units;
  const CodeRange range = format.system->codes(format);
  for (int32_t code = range.min; code <= range.max; ++code) {
    const double unit = format.system->level(format, at_one.data(), code);
    if (std::isfinite(unit)) units.push_back(unit);
  }
  std::sort(units.begin(), units.end());
  units.erase(std::unique(units.begin(), units.end()), units.end());
  return units;
}

float fitted_scale(std::span<const double> units, const FitData& data, const FitOptions& options) {
  const float full = covering_scale(units, range_to_cover(data.x, options));
  if (options.rule != FitRule::mse) return full;
  const WeightedPoints points(data);
  if (points.empty() || points.values().front() == points.values().back()) {
    // One value: the scale that meets it exactly is the covering one.
    return full;
  }
  return usable_scale(best_scale(units, points, full).scale);
}

}  // namespace lowbit
