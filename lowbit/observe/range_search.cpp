#include "lowbit/observe/range_search.h"

#include <algorithm>
#include <cmath>

#include "lowbit/numbers/level_table.h"
#include "lowbit/numbers/linear.h"

namespace lowbit {
namespace {

/// The grid of a linear system: the levels are n * step for whole n in [first, last].
struct LinearGrid {
  double step, inverse, first, last;
  struct Place {
    double index, level;
  };
  Place nearest(double x) const {
    const double index = std::clamp(std::nearbyint(x * inverse), first, last);
    return {index, index * step};
  }
  /// The integral of the squared error from level to level: each step contributes step^3 / 12.
  double between(const Place& a, const Place& b) const { return (b.index - a.index) * step * step * step / 12; }
};

/// The grid of any system, from its sorted levels.
struct TableGrid {
  const std::vector<float>& levels;
  std::vector<double> area;  ///< integral of the squared error from the first level to each
  struct Place {
    size_t index;
    double level;
  };
  explicit TableGrid(const std::vector<float>& sorted) : levels(sorted), area(sorted.size()) {
    for (size_t i = 1; i < levels.size(); ++i) {
      const double gap = static_cast<double>(levels[i]) - static_cast<double>(levels[i - 1]);
      area[i] = area[i - 1] + gap * gap * gap / 12;
    }
  }
  Place nearest(double x) const {
    size_t i = static_cast<size_t>(std::lower_bound(levels.begin(), levels.end(), x) - levels.begin());
    if (i == levels.size() || (i > 0 && x - levels[i - 1] < levels[i] - x)) --i;
    return {i, levels[i]};
  }
  double between(const Place& a, const Place& b) const { return area[b.index] - area[a.index]; }
};

/// The mean squared error of values spread evenly over [low, high].
template <typename Grid>
double bin_error(const Grid& grid, const Histogram::Bin& bin) {
  const auto a = grid.nearest(bin.low), b = grid.nearest(bin.high);
  const double at_low = bin.low - a.level, at_high = bin.high - b.level;
  if (a.index == b.index) return (at_low * at_low + at_low * at_high + at_high * at_high) / 3;
  const double integral = grid.between(a, b) + (at_high * at_high * at_high - at_low * at_low * at_low) / 3;
  // A very thin bin across a rounding threshold cancels to noise; its error is that of its ends.
  const double gap = std::abs(b.level - a.level);
  const double most = std::max({at_low * at_low, at_high * at_high, gap * gap / 4});
  return std::clamp(integral / (bin.high - bin.low), 0.0, most);
}

}  // namespace

Interval full_interval(const TensorStatistics& statistics) {
  return {std::min(0.0, static_cast<double>(statistics.min)), std::max(0.0, static_cast<double>(statistics.max))};
}

std::vector<Histogram::Bin> cut_bins(const TensorStatistics& statistics) {
  std::vector<Histogram::Bin> bins = statistics.histogram.bins();
  for (Histogram::Bin& bin : bins) {
    bin.low = std::max(bin.low, static_cast<double>(statistics.min));
    bin.high = std::max(bin.low, std::min(bin.high, static_cast<double>(statistics.max)));
  }
  return bins;
}

ErrorModel::ErrorModel(const TensorStatistics& statistics, const NumberFormat& format)
    : format_(format), bins_(cut_bins(statistics)), squares_(bins_.size() + 1) {
  for (size_t i = 0; i < bins_.size(); ++i) {
    const auto& [low, high, count] = bins_[i];
    squares_[i + 1] = squares_[i] + static_cast<double>(count) * (low * low + low * high + high * high) / 3;
    total_ += static_cast<double>(count);
  }
}

double ErrorModel::linear_error(const Interval& range) const {
  const LinearParams params = linear_params(format_, static_cast<float>(range.low), static_cast<float>(range.high));
  const CodeRange codes = format_.system->codes(format_);
  const double step = params.scale;
  const LinearGrid grid{step, 1 / step, static_cast<double>(codes.min - params.zero_point),
                        static_cast<double>(codes.max - params.zero_point)};
  double error = 0;
  const auto add = [&](const Histogram::Bin& bin) { error += static_cast<double>(bin.count) * bin_error(grid, bin); };
  // The bins around 0 are the most and the narrowest, and all become 0: their error is their sum of squares.
  const auto first =
      std::partition_point(bins_.begin(), bins_.end(), [&](const Histogram::Bin& bin) { return bin.low < -step / 2; });
  const auto last =
      std::partition_point(first, bins_.end(), [&](const Histogram::Bin& bin) { return bin.high <= step / 2; });
  std::for_each(bins_.begin(), first, add);
  error += squares_[static_cast<size_t>(last - bins_.begin())] - squares_[static_cast<size_t>(first - bins_.begin())];
  std::for_each(last, bins_.end(), add);
  return error;
}

double ErrorModel::table_error(const Interval& range) const {
  std::vector<float> params(static_cast<size_t>(format_.system->param_count(format_)));
  const FitOptions options{FitRule::range, static_cast<float>(range.low), static_cast<float>(range.high)};
  format_.system->fit(format_, {}, {}, options, params.data());
  const LevelTable table(format_, params.data());
  const TableGrid grid(table.levels());
  double error = 0;
  for (const Histogram::Bin& bin : bins_) error += static_cast<double>(bin.count) * bin_error(grid, bin);
  return error;
}

double ErrorModel::mean_squared_error(const Interval& range) const {
  if (total_ == 0) return 0;
  return (is_linear(format_) ? linear_error(range) : table_error(range)) / total_;
}

double ErrorModel::clipped_share(const Interval& range) const {
  double clipped = 0;
  for (const Histogram::Bin& bin : bins_) {
    const double width = bin.high - bin.low;
    const double outside = std::max(0.0, range.low - bin.low) + std::max(0.0, bin.high - range.high);
    if (outside > 0) clipped += static_cast<double>(bin.count) * (width > 0 ? std::min(1.0, outside / width) : 1.0);
  }
  return total_ > 0 ? clipped / total_ : 0;
}

namespace {

/// Candidates per factor of 2 in the first pass, and how far down it goes at most.
constexpr int kCoarseSteps = 4, kMostHalvings = 24;
/// The first pass ends where the cost has grown this much above the best, but not before a factor of 4.
constexpr double kGivenUp = 8;

/// The factor t in (0, 1] with the least cost: a scan in powers of 2^-1/4, then two finer scans around the best. Scans
/// rather than a bracketing search, since the cost has small ripples where levels meet bins.
double best_factor(const std::function<double(double)>& cost) {
  double best = 0, least = cost(1);  // best is -log2 of the factor
  for (int i = 1; i <= kCoarseSteps * kMostHalvings; ++i) {
    const double exponent = static_cast<double>(i) / kCoarseSteps, c = cost(std::exp2(-exponent));
    if (c < least) {
      least = c;
      best = exponent;
    } else if (c > kGivenUp * least && i >= 2 * kCoarseSteps) {
      break;
    }
  }
  for (double spread = 1.0 / kCoarseSteps; spread > 0.01; spread /= 8) {
    const double centre = best;
    for (int i = -7; i <= 7; ++i) {
      const double exponent = std::max(0.0, centre + i * spread / 8), c = cost(std::exp2(-exponent));
      if (c >= least) continue;
      least = c;
      best = exponent;
    }
  }
  return std::exp2(-best);
}

}  // namespace

Interval search_range(const Interval& full, const NumberFormat& format, Sides sides,
                      const std::function<double(const Interval&)>& cost) {
  if (!format.asymmetric) {
    const double most = std::max(-full.low, full.high);
    const auto cut = [&](double t) {
      return Interval{sides.low ? std::max(full.low, -t * most) : full.low,
                      sides.high ? std::min(full.high, t * most) : full.high};
    };
    return cut(best_factor([&](double t) { return cost(cut(t)); }));
  }
  const bool low = sides.low && full.low < 0, high = sides.high && full.high > 0;
  Interval best = full;
  double least = cost(full);
  const auto search = [&](const Interval& from, bool move_low, bool move_high) {
    const auto scaled = [&](double t) {
      return Interval{move_low ? t * from.low : from.low, move_high ? t * from.high : from.high};
    };
    const Interval found = scaled(best_factor([&](double t) { return cost(scaled(t)); }));
    const double c = cost(found);
    if (c >= least) return;
    least = c;
    best = found;
  };
  if (low && high) search(full, true, true);
  for (int round = 0; round < (low && high ? 2 : 1); ++round) {
    // From the full end each time: a joint cut may have taken one side too far.
    if (high) search({best.low, full.high}, false, true);
    if (low) search({full.low, best.high}, true, false);
  }
  return best;
}

}  // namespace lowbit
