#include <algorithm>
#include <cmath>

#include "lowbit/observe/range_search.h"

namespace lowbit {
namespace {

constexpr int kPointsPerCode = 8;
/// Above, the divergence of the inside is lost in rounding and the points become many.
constexpr int64_t kMostCodes = 1024;
/// Stands for a quantized share of nothing where there is a value, so that the logarithm stays finite.
constexpr double kLeastShare = 1e-12;

/// Slopes of a monotone cubic through the knots: the weighted harmonic mean of the neighbouring secants.
std::vector<double> monotone_slopes(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> slopes(x.size());
  const auto secant = [&](size_t i) { return (y[i + 1] - y[i]) / (x[i + 1] - x[i]); };
  for (size_t i = 1; i + 1 < x.size(); ++i) {
    const double before = secant(i - 1), after = secant(i);
    if (before <= 0 || after <= 0) continue;
    const double h0 = x[i] - x[i - 1], h1 = x[i + 1] - x[i], w0 = 2 * h1 + h0, w1 = h1 + 2 * h0;
    slopes[i] = (w0 + w1) / (w0 / before + w1 / after);
  }
  if (x.size() > 1) {
    slopes.front() = secant(0);
    slopes.back() = secant(x.size() - 2);
  }
  return slopes;
}

}  // namespace

EntropyModel::EntropyModel(const TensorStatistics& statistics, const NumberFormat& format)
    : codes_(static_cast<int>(std::min(kMostCodes, format.system->codes(format).count()))) {
  double total = 0;
  const auto knot = [&](double x) {
    if (!x_.empty() && x <= x_.back()) return;
    x_.push_back(x);
    count_.push_back(total);
  };
  for (const Histogram::Bin& bin : cut_bins(statistics)) {
    if (bin.low == 0 && bin.high == 0) continue;
    // A bin that one value cuts to a point is given a width far below that of a code.
    const double least = 1e-9 * std::max(std::abs(bin.low), std::abs(bin.high));
    knot(std::min(bin.low, bin.high - least));
    total += static_cast<double>(bin.count);
    knot(bin.high);
    count_.back() = total;
  }
  slope_ = monotone_slopes(x_, count_);
}

/// Counts of nonzero values in kPointsPerCode equal parts of every code's share of the range.
std::vector<double> EntropyModel::density(const Interval& range) const {
  const int points = codes_ * kPointsPerCode;
  std::vector<double> counts(static_cast<size_t>(points));
  size_t i = 0;
  const auto cumulative = [&](double x) {
    if (x <= x_.front()) return count_.front();
    if (x >= x_.back()) return count_.back();
    while (x_[i + 1] < x) ++i;
    const double h = x_[i + 1] - x_[i], t = (x - x_[i]) / h, u = 1 - t;
    return count_[i] * u * u * (1 + 2 * t) + count_[i + 1] * t * t * (3 - 2 * t) +
           h * t * u * (slope_[i] * u - slope_[i + 1] * t);
  };
  double before = cumulative(range.low);
  for (int point = 0; point < points; ++point) {
    const double here = cumulative(range.low + (range.high - range.low) * (point + 1) / points);
    counts[static_cast<size_t>(point)] = std::max(0.0, here - before);
    before = here;
  }
  return counts;
}

double EntropyModel::divergence(const Interval& range) const {
  if (x_.empty() || range.low >= range.high) return 0;
  std::vector<double> counts = density(range);
  std::vector<double> quantized(counts.size());
  double inside = 0;
  for (size_t begin = 0; begin < counts.size(); begin += kPointsPerCode) {
    double sum = 0;
    int used = 0;
    for (size_t i = begin; i < begin + kPointsPerCode; ++i) {
      sum += counts[i];
      used += counts[i] > 0 ? 1 : 0;
    }
    for (size_t i = begin; i < begin + kPointsPerCode; ++i)
      if (counts[i] > 0) quantized[i] = sum / used;
    inside += sum;
  }
  const double total = count_.back();
  // What is clipped ends at the outermost points, which the quantized form does not know of.
  const auto below = std::lower_bound(x_.begin(), x_.end(), range.low) - x_.begin();
  const double clipped_low = std::min(
      total - inside,
      below > 0
          ? count_[static_cast<size_t>(std::min<std::ptrdiff_t>(below, static_cast<std::ptrdiff_t>(count_.size()) - 1))]
          : 0.0);
  counts.front() += clipped_low;
  counts.back() += total - inside - clipped_low;
  double divergence = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] <= 0) continue;
    const double p = counts[i] / total, q = inside > 0 ? quantized[i] / inside : 0;
    divergence += p * std::log(p / std::max(q, kLeastShare));
  }
  return divergence;
}

}  // namespace lowbit
