// range.h: from statistics to a range of real values (mission row M03).
#pragma once

#include <string>

#include "lowbit/numbers/number_system.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {

struct RangeRule {
  enum class Kind : uint8_t { minmax, moving_average, percentile, mse, entropy, adaptive } kind = Kind::adaptive;
  double percentile = 99.999;  ///< per cent of the values kept (two-sided: half of the rest is cut on each side; one-sided data on one side)
};

/// "minmax", "average", "percentile:99.9", "mse", "entropy", "adaptive". Throws Error{bad_argument} with the nearest names.
RangeRule parse_range_rule(const std::string& text);
std::string to_string(const RangeRule& rule);

struct Range {
  float low = 0, high = 0;
  std::string origin;  ///< the rule that gave it and why: "mse (clips 0.02 %)", "adaptive: minmax, no tail"
};

/// The range for a tensor that will be quantized by `format` (its number of codes matters to mse and entropy). Always contains 0, finite.
///   mse      minimises the expected squared error over the histogram, searching the clipping of both sides
///   entropy  minimises the KL divergence of the histogram to its quantized form, at a resolution well above the number of codes
///   adaptive chooses by the distribution: bounded or discrete data (few distinct values, hard ends) -> minmax; else mse with a guard for tails
/// Throws Error{bad_argument} if there is no finite value.
Range choose_range(const TensorStatistics& statistics, const RangeRule& rule, const NumberFormat& format);

/// Expected squared error, per value, of quantizing the histogram with these linear parameters.
double expected_mse(const TensorStatistics& statistics, const NumberFormat& format, float low, float high);

}  // namespace lowbit
