#include "lowbit/numbers/weighted_points.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace lowbit {
namespace {

/// An unsigned number in the order of the floats.
uint32_t ordered_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

}  // namespace

WeightedPoints::WeightedPoints(const FitData& data, int relative_bits) {
  if (data.x.size() <= kExactLimit)
    take_all(data);
  else
    take_bins(data, relative_bits);
}

void WeightedPoints::take_all(const FitData& data) {
  const auto usable = [&](size_t i) { return std::isfinite(data.x[i]) && data.weight(i) > 0; };
  values_.reserve(data.x.size());
  prefix_.reserve(data.x.size() + 1);
  if (data.importance.empty()) {
    std::vector<float> sorted;
    sorted.reserve(data.x.size());
    for (float x : data.x)
      if (std::isfinite(x)) sorted.push_back(x);
    std::sort(sorted.begin(), sorted.end());
    for (const double x : sorted) append(1, x, x * x);
    return;
  }
  std::vector<std::pair<float, float>> sorted;
  for (size_t i = 0; i < data.x.size(); ++i)
    if (usable(i)) sorted.emplace_back(data.x[i], data.importance[i]);
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [x, w] : sorted) append(w, static_cast<double>(w) * x, static_cast<double>(w) * x * x);
}

void WeightedPoints::take_bins(const FitData& data, int relative_bits) {
  const int shift = 23 - relative_bits;
  std::vector<Sums> bins(size_t{1} << (32 - shift));
  for (size_t i = 0; i < data.x.size(); ++i) {
    const double x = data.x[i], w = data.weight(i);
    if (!std::isfinite(data.x[i]) || !(w > 0)) continue;
    Sums& bin = bins[ordered_bits(data.x[i]) >> shift];
    bin.w += w;
    bin.wx += w * x;
    bin.wxx += w * x * x;
  }
  for (const Sums& bin : bins)
    if (bin.w > 0) append(bin.w, bin.wx, bin.wxx);
}

void WeightedPoints::append(double w, double wx, double wxx) {
  values_.push_back(static_cast<float>(wx / w));
  const Sums& last = prefix_.back();
  prefix_.push_back({last.w + w, last.wx + wx, last.wxx + wxx});
}

WeightedPoints::Sums WeightedPoints::sums(size_t begin, size_t end) const {
  const Sums &a = prefix_[begin], &b = prefix_[end];
  return {b.w - a.w, b.wx - a.wx, b.wxx - a.wxx};
}

size_t WeightedPoints::first_above(double value, size_t from) const {
  const auto above = [](double limit, float x) { return limit < static_cast<double>(x); };
  return static_cast<size_t>(
      std::upper_bound(values_.begin() + static_cast<ptrdiff_t>(from), values_.end(), value, above) - values_.begin());
}

size_t WeightedPoints::nearest_level(std::span<const double> levels, double value) {
  const size_t above = static_cast<size_t>(std::lower_bound(levels.begin(), levels.end(), value) - levels.begin());
  if (above == 0) return 0;
  if (above == levels.size()) return above - 1;
  return value <= 0.5 * (levels[above - 1] + levels[above]) ? above - 1 : above;
}

double WeightedPoints::error(std::span<const double> levels) const {
  double total = 0;
  // Differences of prefix sums may fall below 0 by rounding.
  for_each_cell(levels, [&](size_t k, const Sums& s) { total += std::max(0.0, s.error(levels[k])); });
  return total;
}

}  // namespace lowbit
