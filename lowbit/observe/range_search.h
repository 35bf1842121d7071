// range_search.h: the error that quantizing a histogram makes, and the searches for the range that makes it small.
// Private to the room.
#pragma once

#include <functional>
#include <vector>

#include "lowbit/numbers/number_system.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {

/// A range that contains 0.
struct Interval {
  double low = 0, high = 0;
};

/// [min(min, 0), max(max, 0)].
Interval full_interval(const TensorStatistics& statistics);

/// The non-empty bins of the histogram in ascending order, cut off at the exact minimum and maximum. Values count as
/// spread evenly over their bin.
std::vector<Histogram::Bin> cut_bins(const TensorStatistics& statistics);

/// Expected squared errors of one tensor for many ranges.
class ErrorModel {
 public:
  ErrorModel(const TensorStatistics& statistics, const NumberFormat& format);
  /// Mean of (x - quantized(x))^2 over the finite values, integrated exactly over each bin; 0 if there are none.
  double mean_squared_error(const Interval& range) const;
  /// The share of the values outside of the range.
  double clipped_share(const Interval& range) const;

 private:
  double linear_error(const Interval& range) const;
  double table_error(const Interval& range) const;
  NumberFormat format_;
  std::vector<Histogram::Bin> bins_;
  std::vector<double> squares_;  ///< squares_[i]: the sum of x^2 over the bins before i
  double total_ = 0;
};

/// Which ends of a range a search may move.
struct Sides {
  bool low = true, high = true;
};

/// The range inside `full` with the least cost that a search finds which moves the ends towards 0: both by the same
/// factor, then one at a time. Formats whose zero is fixed have one size to search only. Never worse than `full`.
Interval search_range(const Interval& full, const NumberFormat& format, Sides sides,
                      const std::function<double(const Interval&)>& cost);

/// Kullback-Leibler divergence, in nats, of the distribution from its form quantized to the format's codes on the
/// range (calibration of Migacz, "8-bit inference with TensorRT", GTC 2017). The distribution is taken at 8 points per
/// code, from the histogram's cumulative counts made smooth by monotone cubics (Fritsch and Carlson, SIAM J. Numer.
/// Anal. 17, 1980), so that the bins of the histogram do not show. Zeros are left out: a code stands for them exactly.
class EntropyModel {
 public:
  EntropyModel(const TensorStatistics& statistics, const NumberFormat& format);
  double divergence(const Interval& range) const;

 private:
  std::vector<double> density(const Interval& range) const;
  int codes_;
  std::vector<double> x_, count_, slope_;  ///< knots of the cumulative count
};

}  // namespace lowbit
