#include "lowbit/numbers/standardized.h"

#include <cmath>

namespace lowbit {
namespace {

struct Moments {
  double mean = 0, deviation = 1;
};

/// Weighted mean and standard deviation in two passes. A deviation of 0, or below the smallest normal float, counts
/// as 1: the inner system then gets zeros.
Moments moments(std::span<const float> x, std::span<const float> importance) {
  const auto weight = [&](size_t i) { return importance.empty() ? 1.0 : static_cast<double>(importance[i]); };
  double total = 0, sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    total += weight(i);
    sum += weight(i) * static_cast<double>(x[i]);
  }
  if (!(total > 0)) return {};
  Moments result{.mean = static_cast<double>(static_cast<float>(sum / total))};
  double squares = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = static_cast<double>(x[i]) - result.mean;
    squares += weight(i) * difference * difference;
  }
  const double deviation = static_cast<double>(static_cast<float>(std::sqrt(squares / total)));
  if (deviation >= 0x1p-126) result.deviation = deviation;
  return result;
}

}  // namespace

void fit_standardized(const NumberSystem& inner, const NumberFormat& format, std::span<const float> x,
                      std::span<const float> importance, const FitOptions& options, float* params) {
  const Moments m = moments(x, importance);
  const auto standardize = [&](float value) {
    return saturate_to_float((static_cast<double>(value) - m.mean) / m.deviation);
  };
  std::vector<float> standard(x.size());
  for (size_t i = 0; i < x.size(); ++i) standard[i] = standardize(x[i]);
  FitOptions inner_options = options;
  if (options.rule == FitRule::range) {
    inner_options.low = standardize(options.low);
    inner_options.high = standardize(options.high);
  }
  NumberFormat inner_format = format;
  inner_format.standardized = false;
  inner.fit(inner_format, standard, importance, inner_options, params + 2);
  params[0] = static_cast<float>(m.mean);
  params[1] = static_cast<float>(m.deviation);
}

}  // namespace lowbit
