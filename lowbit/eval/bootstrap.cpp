#include "lowbit/eval/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/base/random.h"

namespace lowbit {
namespace {

constexpr uint64_t kSeed = 20'231'117;

double quantile(const std::vector<double>& sorted, double share) {
  const double position = share * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

std::vector<Interval> bootstrap(
    int64_t n, size_t count, const std::function<std::vector<double>(const std::vector<int32_t>& times)>& statistics) {
  std::vector<std::vector<double>> values(count);
  std::vector<int32_t> times(static_cast<size_t>(n));
  for (int resample = 0; resample < kBootstrapResamples; ++resample) {
    std::fill(times.begin(), times.end(), 0);
    Random random(kSeed, static_cast<uint64_t>(resample));
    for (int64_t i = 0; i < n; ++i) ++times[static_cast<size_t>(random.below(n))];
    const std::vector<double> drawn = statistics(times);
    for (size_t k = 0; k < count; ++k)
      if (!std::isnan(drawn[k])) values[k].push_back(drawn[k]);
  }
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  std::vector<Interval> intervals;
  for (std::vector<double>& v : values) {
    std::sort(v.begin(), v.end());
    intervals.push_back(v.empty() ? Interval{kNan, kNan} : Interval{quantile(v, 0.025), quantile(v, 0.975)});
  }
  return intervals;
}

}  // namespace lowbit
