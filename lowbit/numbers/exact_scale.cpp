#include "lowbit/numbers/exact_scale.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace lowbit {
namespace {

size_t nearest_to_zero(std::span<const double> units) {
  size_t best = 0;
  for (size_t k = 1; k < units.size(); ++k)
    if (std::abs(units[k]) < std::abs(units[best])) best = k;
  return best;
}

class Crossings {
 public:
  Crossings(std::span<const double> units, const WeightedPoints& points) : units_(units), points_(points) {
    const auto values = points.values();
    first_positive_ = static_cast<size_t>(std::upper_bound(values.begin(), values.end(), 0.0f) - values.begin());
    first_zero_ = static_cast<size_t>(std::lower_bound(values.begin(), values.end(), 0.0f) - values.begin());
    for (size_t k = 0; k + 1 < units.size(); ++k) middles_.push_back(0.5 * (units[k] + units[k + 1]));
    const auto above = std::upper_bound(middles_.begin(), middles_.end(), 0.0);
    const auto zero = std::lower_bound(middles_.begin(), middles_.end(), 0.0);
    middles_above_ = static_cast<size_t>(middles_.end() - above);
    middles_below_ = static_cast<size_t>(zero - middles_.begin());
  }

  size_t count() const { return first_zero_ * middles_below_ + (points_.size() - first_positive_) * middles_above_; }

  std::optional<double> best() {
    start();
    sort();
    Best best;
    best.offer(a_, b_);
    // From the largest scale down, so that both sums grow and nothing cancels.
    for (size_t i = order_.size(); i-- > 0;) {
      cross(static_cast<uint32_t>(order_[i]));
      best.offer(a_, b_);
    }
    return best.gain > 0 ? std::optional(best.scale) : std::nullopt;
  }

 private:
  struct Best {
    double gain = 0, scale = 0;
    void offer(double a, double b) {
      if (!(a > 0) || !(b > 0) || !(a * a > gain * b)) return;
      gain = a * a / b;
      scale = a / b;
    }
  };

  /// Sums over the assignment at an endless scale: every point is in the cell beside 0 on its side.
  void start() {
    const auto take = [&](size_t begin, size_t end, double u) {
      const WeightedPoints::Sums s = points_.sums(begin, end);
      a_ += s.wx * u;
      b_ += s.w * u * u;
    };
    take(0, first_zero_, units_[middles_below_]);
    take(first_zero_, first_positive_, units_[nearest_to_zero(units_)]);
    take(first_positive_, points_.size(), units_[middles_.size() - middles_above_]);
  }

  /// Keys in the order of the scales: the scale as a float in the upper half, point and middle in the lower one.
  void sort() {
    order_.reserve(count());
    const auto add = [&](size_t point, size_t middle) {
      const double scale = static_cast<double>(points_.values()[point]) / middles_[middle];
      const auto limited = static_cast<float>(std::min(scale, static_cast<double>(std::numeric_limits<float>::max())));
      order_.push_back(uint64_t{std::bit_cast<uint32_t>(limited)} << 32 | (point * middles_.size() + middle));
    };
    for (size_t p = 0; p < first_zero_; ++p)
      for (size_t k = 0; k < middles_below_; ++k) add(p, k);
    for (size_t p = first_positive_; p < points_.size(); ++p)
      for (size_t k = middles_.size() - middles_above_; k < middles_.size(); ++k) add(p, k);
    std::sort(order_.begin(), order_.end());
  }

  /// A point moves over a middle away from 0.
  void cross(uint32_t which) {
    const size_t point = which / middles_.size(), middle = which % middles_.size();
    const bool positive = point >= first_positive_;
    const double from = units_[positive ? middle : middle + 1], to = units_[positive ? middle + 1 : middle];
    const WeightedPoints::Sums s = points_.sums(point, point + 1);
    a_ += s.wx * (to - from);
    b_ += s.w * (to * to - from * from);
  }

  std::span<const double> units_;
  const WeightedPoints& points_;
  std::vector<double> middles_;
  std::vector<uint64_t> order_;
  size_t first_zero_ = 0, first_positive_ = 0, middles_above_ = 0, middles_below_ = 0;
  double a_ = 0, b_ = 0;
};

}  // namespace

size_t scale_crossings(std::span<const double> units, const WeightedPoints& points) {
  return Crossings(units, points).count();
}

std::optional<double> exact_scale(std::span<const double> units, const WeightedPoints& points) {
  return Crossings(units, points).best();
}

}  // namespace lowbit
