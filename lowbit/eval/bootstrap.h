// bootstrap.h: percentile intervals of any statistic of samples, by resampling with a fixed seed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "lowbit/core/measurements.h"

namespace lowbit {

inline constexpr int kBootstrapResamples = 2000;

/// Draws `n` samples with replacement kBootstrapResamples times. `statistics(times)` gets how often each sample was
/// drawn and returns the values of `count` statistics (NaN: undefined for this draw, left out). Returns for each the
/// interval from its 2.5 % to its 97.5 % quantile (linear between neighbours, as numpy.percentile); [NaN, NaN] if it
/// was never defined. Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3. Deterministic.
std::vector<Interval> bootstrap(
    int64_t n, size_t count, const std::function<std::vector<double>(const std::vector<int32_t>& times)>& statistics);

}  // namespace lowbit
