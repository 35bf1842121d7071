#include "lowbit/numbers/fit_data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lowbit {

ValueRange range_to_cover(std::span<const float> x, const FitOptions& options) {
  constexpr float kMost = std::numeric_limits<float>::max();
  ValueRange range;
  const auto include = [&range](float value) {
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  };
  if (options.rule == FitRule::range) {
    for (float end : {options.low, options.high}) include(std::isnan(end) ? 0 : std::clamp(end, -kMost, kMost));
  } else {
    for (float value : x)
      if (std::isfinite(value)) include(value);
  }
  return range;
}

double squared_error(const FitData& data, std::span<const float> y) {
  // Eight partial sums, whatever the machine: the loop vectorizes and the order never changes.
  constexpr size_t kSums = 8;
  std::array<double, kSums> sums{};
  const size_t n = data.x.size();
  const auto term = [&](size_t i) {
    const double difference = static_cast<double>(data.x[i]) - static_cast<double>(y[i]);
    return difference * difference;
  };
  size_t i = 0;
  if (data.importance.empty()) {
    for (; i + kSums <= n; i += kSums)
      for (size_t k = 0; k < kSums; ++k) sums[k] += term(i + k);
  } else {
    for (; i + kSums <= n; i += kSums)
      for (size_t k = 0; k < kSums; ++k) sums[k] += static_cast<double>(data.importance[i + k]) * term(i + k);
  }
  for (; i < n; ++i) sums[i % kSums] += data.weight(i) * term(i);
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

double squared_error(const NumberFormat& format, const float* params, const FitData& data) {
  const int64_t n = static_cast<int64_t>(data.x.size());
  std::vector<int32_t> codes(data.x.size());
  std::vector<float> y(data.x.size());
  encode(format, params, data.x.data(), n, codes.data());
  decode(format, params, codes.data(), n, y.data());
  return squared_error(data, y);
}

FitSample::FitSample(const FitData& data, size_t most) : data_(data) {
  const size_t n = data.x.size();
  if (n <= most) return;
  x_.reserve(most);
  for (size_t k = 0; k < most; ++k) {
    // n < 2^40 and most < 2^20, so the product fits.
    const size_t i = k * n / most;
    x_.push_back(data.x[i]);
    if (!data.importance.empty()) importance_.push_back(data.importance[i]);
  }
  data_ = {x_, importance_};
}

float usable_scale(double scale) {
  constexpr double kMost = std::numeric_limits<float>::max();
  if (!(scale > 0)) return 1;
  return static_cast<float>(std::clamp(scale, static_cast<double>(kSmallestScale), kMost));
}

}  // namespace lowbit
