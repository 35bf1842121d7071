#include "lowbit/numbers/signed_magnitude.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/numbers/scale_fit.h"

namespace lowbit {
namespace {

constexpr size_t kShapeAt = 2;  ///< index of the first shape parameter
constexpr int kGrid = 12;       ///< shapes tried in each direction
constexpr int kRounds = 8;      ///< of halving the steps

bool is_one_sided(const float* params) { return params[1] > 0.5f; }

int last_step(const NumberFormat& format, bool one_sided) {
  return one_sided ? (1 << format.bits) - 2 : (1 << (format.bits - 1)) - 1;
}

/// The search for shape and scale of one group.
class ShapeSearch {
 public:
  ShapeSearch(const MagnitudeCurve& curve, const NumberFormat& format, const FitData& data, const FitOptions& options,
              ValueRange range, bool one_sided)
      : curve_(curve),
        format_(format),
        points_(data),
        range_(range),
        free_scale_(options.rule == FitRule::mse),
        one_sided_(one_sided) {}

  /// Shape and scale into params. With a free scale the search runs twice, from the covering scale and from the best of
  /// a few: shapes that suit the one need not suit the other.
  void run(float* params) {
    const Fit covering = thorough(best_shape(/*free_scale=*/false));
    const Fit free = free_scale_ ? thorough(best_shape(/*free_scale=*/true)) : covering;
    const Fit& best = free.error < covering.error ? free : covering;
    params[0] = usable_scale(best.scale);
    for (size_t k = 0; k < count(); ++k) params[kShapeAt + k] = best.shape[k];
  }

 private:
  using Shape = std::array<float, 2>;
  struct Fit {
    double error, scale;
    Shape shape;
  };
  size_t count() const { return static_cast<size_t>(curve_.shape_count); }
  bool usable(const Shape& shape) const {
    for (size_t k = 0; k < count(); ++k)
      if (shape[k] < curve_.shapes[k].low || shape[k] > curve_.shapes[k].high) return false;
    return !curve_.valid || curve_.valid({shape.data(), count()});
  }
  float grid_value(size_t k, int i) const {
    const auto [low, high] = curve_.shapes[k];
    return low + (high - low) * static_cast<float>(i) / (kGrid - 1);
  }

  /// The first usable shape of the grid, for groups without data too.
  Shape start() const {
    Shape shape{};
    for (int i = 0; i < kGrid * kGrid; ++i) {
      shape = {grid_value(0, i % kGrid), grid_value(1, i / kGrid)};
      if (usable(shape)) break;
    }
    return shape;
  }

  std::vector<double> units(const Shape& shape) const {
    const int last = last_step(format_, one_sided_);
    std::vector<double> result;
    const std::span<const float> parts(shape.data(), count());
    if (!one_sided_)
      for (int index = last; index >= 1; --index) result.push_back(-curve_.at(format_, parts, index, last));
    for (int index = 0; index <= last; ++index) result.push_back(curve_.at(format_, parts, index, last));
    return result;
  }

  double covering(const Shape& shape) const { return static_cast<double>(covering_scale(units(shape), range_)); }

  void attempt(const Shape& shape, double scale, Fit& best) const {
    if (!usable(shape)) return;
    const double error = scale_error(units(shape), points_, scale);
    if (error < best.error) best = {error, scale, shape};
  }

  Fit best_shape(bool free_scale) const {
    const Shape first = start();
    Fit best{std::numeric_limits<double>::infinity(), covering(first), first};
    if (points_.empty()) return best;
    const int second = count() > 1 ? kGrid : 1, columns = count() > 0 ? kGrid : 1;
    for (int i = 0; i < second * columns; ++i) {
      const Shape shape = {grid_value(0, i % columns), grid_value(1, i / columns)};
      if (!usable(shape)) continue;
      const double full = covering(shape);
      attempt(shape, full, best);
      for (double share = 0.9; free_scale && share > 0.2; share *= 0.88) attempt(shape, full * share, best);
    }
    refine(best, free_scale);
    return best;
  }

  /// Moves one shape parameter, or the scale, at a time, by ever smaller steps.
  void refine(Fit& best, bool free_scale) const {
    double part = 0.5;
    for (int round = 0; round < kRounds; ++round, part *= 0.5) {
      for (size_t k = 0; k < count(); ++k) {
        const float step = static_cast<float>(part) * (grid_value(k, 1) - grid_value(k, 0));
        const Fit centre = best;
        for (float move : {-step, step}) {
          Shape moved = centre.shape;
          moved[k] += move;
          attempt(moved, centre.scale, best);
        }
      }
      if (!free_scale) continue;
      const Fit centre = best;
      for (double factor : {1 - 0.12 * part, 1 + 0.12 * part}) attempt(centre.shape, centre.scale * factor, best);
    }
  }

  /// The shape with its best scale, where the scale is free.
  Fit thorough(Fit fit) const {
    if (!free_scale_ || points_.empty()) return fit;
    const ScaleFit found = best_scale(units(fit.shape), points_, covering(fit.shape));
    return found.error < fit.error ? Fit{found.error, found.scale, fit.shape} : fit;
  }

  const MagnitudeCurve& curve_;
  const NumberFormat& format_;
  const WeightedPoints points_;
  const ValueRange range_;
  const bool free_scale_, one_sided_;
};

}  // namespace

int magnitude_param_count(const MagnitudeCurve& curve) { return static_cast<int>(kShapeAt) + curve.shape_count; }

int magnitude_param_bits(const MagnitudeCurve& curve) { return 32 + 1 + 32 * curve.shape_count; }

double magnitude_level(const MagnitudeCurve& curve, const NumberFormat& format, const float* params, int32_t code) {
  const bool one_sided = is_one_sided(params);
  const int last = last_step(format, one_sided);
  const int most = last_step(format, false);
  const int index = std::clamp(one_sided ? code + most : std::abs(code), 0, last);
  const std::span<const float> shape(params + kShapeAt, static_cast<size_t>(curve.shape_count));
  const double magnitude = static_cast<double>(params[0]) * curve.at(format, shape, index, last);
  return !one_sided && code < 0 ? -magnitude : magnitude;
}

void fit_magnitudes(const MagnitudeCurve& curve, const NumberFormat& format, const FitData& data,
                    const FitOptions& options, float* params) {
  const ValueRange range = range_to_cover(data.x, options);
  const bool one_sided = range.low == 0 && range.high > 0;
  params[1] = one_sided ? 1.0f : 0.0f;
  ShapeSearch(curve, format, data, options, range, one_sided).run(params);
}

}  // namespace lowbit
