// weighted_points.h: the data of one group as sorted weighted points with prefix sums, so that the squared error of any
// set of levels costs one binary search per level instead of a pass over the data.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "lowbit/numbers/fit_data.h"

namespace lowbit {

class WeightedPoints {
 public:
  /// Up to this many elements every element is a point; more are joined in bins of relative width 2^-relative_bits,
  /// which keep their exact sums.
  static constexpr size_t kExactLimit = size_t{1} << 17;

  /// Elements that are not finite or have no weight are left out. relative_bits: 1 to 12.
  explicit WeightedPoints(const FitData& data, int relative_bits = 10);

  size_t size() const { return values_.size(); }
  bool empty() const { return values_.empty(); }
  /// Ascending. The mean of a bin.
  std::span<const float> values() const { return values_; }

  /// Sums of weight, weight * x and weight * x^2.
  struct Sums {
    double w = 0, wx = 0, wxx = 0;
    /// Sum of weight * (x - level)^2.
    double error(double level) const { return wxx - level * (2 * wx - level * w); }
  };
  /// Sums over the points [begin, end).
  Sums sums(size_t begin, size_t end) const;
  /// visit(index of a level, sums over its points) for the levels, ascending: every point belongs to its nearest level.
  /// Levels without points may be left out.
  template <class Visit>
  void for_each_cell(std::span<const double> levels, const Visit& visit) const {
    const auto end_of = [&](size_t k, size_t begin) {
      return k + 1 == levels.size() ? size() : first_above(0.5 * (levels[k] + levels[k + 1]), begin);
    };
    if (levels.size() > size()) {
      for (size_t begin = 0; begin < size();) {
        const size_t k = nearest_level(levels, static_cast<double>(values_[begin]));
        const size_t end = std::max(end_of(k, begin), begin + 1);
        visit(k, sums(begin, end));
        begin = end;
      }
      return;
    }
    size_t begin = 0;
    for (size_t k = 0; k < levels.size(); ++k) {
      const size_t end = end_of(k, begin);
      visit(k, sums(begin, end));
      begin = end;
    }
  }
  /// The squared error of these levels, ascending.
  double error(std::span<const double> levels) const;

 private:
  size_t first_above(double value, size_t from) const;
  static size_t nearest_level(std::span<const double> levels, double value);
  void take_all(const FitData& data);
  void take_bins(const FitData& data, int relative_bits);
  void append(double w, double wx, double wxx);

  std::vector<float> values_;
  std::vector<Sums> prefix_{1};
};

}  // namespace lowbit
