// range.h: from statistics to a range of real values (mission row M03).
#pragma once

#include <string>

#include "lowbit/numbers/number_system.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {

struct RangeRule {
  enum class Kind : uint8_t { minmax, moving_average, percentile, mse, entropy, adaptive } kind = Kind::adaptive;
  double percentile = 99.999;  ///< per cent of the values kept (two-sided: half of the rest is cut on each side;
                               ///< one-sided data on one side)
};

/// "minmax", "average", "percentile:99.9", "mse", "entropy", "adaptive". Throws Error{bad_argument} with the nearest
/// names.
RangeRule parse_range_rule(const std::string& text);
std::string to_string(const RangeRule& rule);

struct Range {
  float low = 0, high = 0;
  std::string origin;  ///< the rule that gave it and why: "mse (clips 0.02 %)", "adaptive: minmax, no tail"
};

/// The range for a tensor that will be quantized by `format` (its codes matter to mse, entropy and adaptive). Always
/// contains 0, finite. docs/calibration.md has the formulas.
///   mse       minimises the expected squared error over the histogram, searching the clipping of both sides
///   entropy   minimises the KL divergence of the histogram from its quantized form, at 8 points per code
///   adaptive  chooses by the distribution: bounded or discrete data (few distinct values, hard ends) -> minmax; else
///             mse on the ends that have a tail, with a guard for the share that is clipped
/// Deterministic; milliseconds. Throws Error{bad_argument} if there is no finite value.
Range choose_range(const TensorStatistics& statistics, const RangeRule& rule, const NumberFormat& format);

/// Expected squared error, per finite value, of quantizing the histogram on the range [low, high]. Values count as
/// spread evenly over their bin (1/64 of their magnitude): within 2 % for smooth densities, more than 10 % off where
/// much of the mass gathers inside one bin that is wider than a step (discrete values, saturated sigmoids).
double expected_mse(const TensorStatistics& statistics, const NumberFormat& format, float low, float high);

}  // namespace lowbit
