#include "lowbit/numbers/signed_magnitude.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

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
  ShapeSearch(const MagnitudeCurve& family, const NumberFormat& format, const FitData& data, const FitOptions& options,
              ValueRange range, bool one_sided)
      : family_(family),
        format_(format),
        points_(data),
        range_(range),
        free_scale_(options.rule == FitRule::mse),
        one_sided_(one_sided) {}

  /// Shape and scale into params. With a free scale the search runs twice, from the covering scale and from the best of
  /// a few: shapes that suit the one need not suit the other.
  void run(float* params) {
    const Fit covering = thorough(best_shape(/*free_scale=*/false));
    const Fit free = free_scale_ && count() > 0 ? thorough(best_shape(/*free_scale=*/true)) : covering;
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
  size_t count() const { return static_cast<size_t>(family_.shape_count); }
  bool usable(const Shape& shape) const {
    for (size_t k = 0; k < count(); ++k)
      if (shape[k] < family_.shapes[k].low || shape[k] > family_.shapes[k].high) return false;
    return !family_.valid || family_.valid({shape.data(), count()});
  }
  float grid_value(size_t k, int i) const {
    const auto [low, high] = family_.shapes[k];
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
      for (int index = last; index >= 1; --index) result.push_back(-family_.at(format_, parts, index, last));
    for (int index = 0; index <= last; ++index) result.push_back(family_.at(format_, parts, index, last));
    return result;
  }

  /// A shape with its unit levels, which cost more than the error of one scale.
  struct Curve {
    Shape shape;
    std::vector<double> units;
    double covering;  ///< the scale that reaches over the range
  };
  std::optional<Curve> curve(const Shape& shape) const {
    if (!usable(shape)) return std::nullopt;
    Curve result{shape, units(shape), 0};
    result.covering = static_cast<double>(covering_scale(result.units, range_));
    return result;
  }

  void attempt(const Curve& curve, double scale, Fit& best) const {
    const double error = scale_error(curve.units, points_, scale);
    if (error < best.error) best = {error, scale, curve.shape};
  }

  Fit best_shape(bool free_scale) const {
    const Curve first = *curve(start());
    Fit best{std::numeric_limits<double>::infinity(), first.covering, first.shape};
    if (points_.empty()) return best;
    attempt(first, first.covering, best);
    if (count() == 0) return best;
    const int second = count() > 1 ? kGrid : 1;
    for (int i = 0; i < second * kGrid; ++i) {
      const std::optional<Curve> tried = curve({grid_value(0, i % kGrid), grid_value(1, i / kGrid)});
      if (!tried) continue;
      attempt(*tried, tried->covering, best);
      for (double share = 0.9; free_scale && share > 0.2; share *= 0.88) attempt(*tried, tried->covering * share, best);
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
          if (const std::optional<Curve> tried = curve(moved)) attempt(*tried, centre.scale, best);
        }
      }
      if (!free_scale) continue;
      const Fit centre = best;
      const Curve here = *curve(centre.shape);
      for (double factor : {1 - 0.12 * part, 1 + 0.12 * part}) attempt(here, centre.scale * factor, best);
    }
  }

  /// The shape with its best scale, where the scale is free.
  Fit thorough(Fit fit) const {
    if (!free_scale_ || points_.empty()) return fit;
    const Curve here = *curve(fit.shape);
    const ScaleFit found = best_scale(here.units, points_, here.covering);
    return found.error < fit.error ? Fit{found.error, found.scale, fit.shape} : fit;
  }

  const MagnitudeCurve& family_;
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
