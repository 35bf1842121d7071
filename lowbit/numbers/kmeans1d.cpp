#include "lowbit/numbers/kmeans1d.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace lowbit {
namespace {

/// Cell boundaries by dynamic programming over prefix positions 0 ... size of `at` - 1.
class CellSearch {
 public:
  /// at: ascending prefix positions, from 0 to points.size(); item i is the points [at[i], at[i + 1]).
  CellSearch(const WeightedPoints& points, std::vector<size_t> at) : points_(points), at_(std::move(at)) {}

  std::vector<double> levels(size_t k) {
    const size_t items = at_.size() - 1;
    k = std::min(k, items);
    cost_.assign(items + 1, 0);
    for (size_t end = 1; end <= items; ++end) cost_[end] = cell_error(0, end);
    begins_.assign(k, std::vector<uint32_t>(items + 1, 0));
    for (size_t row = 1; row < k; ++row) {
      next_.assign(items + 1, std::numeric_limits<double>::infinity());
      fill(row, row + 1, items, row, items - 1);
      cost_.swap(next_);
    }
    std::vector<double> result(k);
    size_t end = items;
    for (size_t row = k; row-- > 0;) {
      const size_t begin = begins_[row][end];
      const WeightedPoints::Sums s = points_.sums(at_[begin], at_[end]);
      result[row] = s.wx / s.w;
      end = begin;
    }
    return result;
  }

 private:
  double cell_error(size_t begin, size_t end) const {
    const WeightedPoints::Sums s = points_.sums(at_[begin], at_[end]);
    return std::max(0.0, s.wxx - s.wx * s.wx / s.w);
  }

  /// Row `row` (row + 1 cells) for ends [low, high], whose last cell begins in [first, last]. The depth is log2(items).
  void fill(size_t row, size_t low, size_t high, size_t first, size_t last) {
    if (low > high) return;
    const size_t middle = low + (high - low) / 2;
    double best = std::numeric_limits<double>::infinity();
    size_t best_begin = first;
    for (size_t begin = first; begin <= std::min(middle - 1, last); ++begin) {
      const double error = cost_[begin] + cell_error(begin, middle);
      if (error < best) {
        best = error;
        best_begin = begin;
      }
    }
    next_[middle] = best;
    begins_[row][middle] = static_cast<uint32_t>(best_begin);
    fill(row, low, middle - 1, first, best_begin);
    fill(row, middle + 1, high, best_begin, last);
  }

  const WeightedPoints& points_;
  const std::vector<size_t> at_;
  std::vector<double> cost_, next_;
  std::vector<std::vector<uint32_t>> begins_;
};

/// Positions where the value changes: equal points never part.
std::vector<size_t> distinct_positions(const WeightedPoints& points) {
  std::vector<size_t> at = {0};
  const auto values = points.values();
  for (size_t i = 1; i < values.size(); ++i)
    if (values[i] != values[i - 1]) at.push_back(i);
  at.push_back(values.size());
  return at;
}

/// At most `most` + 1 of the positions, close where points are many and not too far apart elsewhere: the mean of the
/// share of points and the share of the range grows by at least 1 / most.
std::vector<size_t> thinned(const WeightedPoints& points, const std::vector<size_t>& at, size_t most) {
  const auto values = points.values();
  const double low = values.front(), width = static_cast<double>(values.back()) - low;
  std::vector<size_t> result = {0};
  double reached = 0;
  for (size_t i = 1; i + 1 < at.size(); ++i) {
    const double place = 0.5 * static_cast<double>(at[i]) / static_cast<double>(points.size()) +
                         0.5 * (static_cast<double>(values[at[i]]) - low) / width;
    if (place - reached < 1 / static_cast<double>(most)) continue;
    result.push_back(at[i]);
    reached = place;
  }
  result.push_back(points.size());
  return result;
}

/// Every level to the mean of its cell, while the error falls.
void lloyd(const WeightedPoints& points, std::vector<double>& levels) {
  double error = points.error(levels);
  for (int turn = 0; turn < 30; ++turn) {
    std::vector<double> next = levels;
    points.for_each_cell(levels, [&](size_t k, const WeightedPoints::Sums& s) {
      if (s.w > 0) next[k] = s.wx / s.w;
    });
    std::sort(next.begin(), next.end());
    const double next_error = points.error(next);
    if (!(next_error < error)) return;
    levels = std::move(next);
    error = next_error;
  }
}

}  // namespace

std::vector<double> kmeans_1d(const WeightedPoints& points, int k) {
  const size_t count = static_cast<size_t>(k);
  if (points.empty()) return std::vector<double>(count, 0);
  std::vector<size_t> at = distinct_positions(points);
  const size_t most = kMostWork / count;
  const bool thin = at.size() - 1 > most;
  if (thin) at = thinned(points, at, most);
  std::vector<double> levels = CellSearch(points, std::move(at)).levels(count);
  if (thin) lloyd(points, levels);
  levels.resize(count, levels.back());
  return levels;
}

}  // namespace lowbit
