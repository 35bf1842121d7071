#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr double kOtherScale = 1.5;  // beyond: differently scaled, not merely other samples
constexpr double kClipped = 0.01;    // a clipped tail is no other scale
constexpr double kUnused = 4;        // two bits that these data do not need
constexpr double kShift = 0.5;       // of the mean, in standard deviations
constexpr int64_t kEnough = 256;     // values that a mean and a deviation of both need

Finding finding_about(const ValueFacts& input, std::string cause) {
  Finding finding;
  finding.layer = input.name;
  finding.cause = std::move(cause);
  finding.advice = "calibrate on data prepared as these are: the same --preprocess, the same kind of samples";
  return finding;
}

/// The data themselves, where both are at hand.
bool distributions_differ(const ValueFacts& input) {
  if (input.calibrated_values < kEnough || input.count < kEnough) return false;
  const double a = input.standard_deviation, b = input.calibrated_deviation;
  return std::max(a, b) > kOtherScale * std::min(a, b) ||
         std::abs(input.mean - input.calibrated_mean) > kShift * std::max(a, b);
}

/// What a file tells: the range that its calibration gave the input.
bool ranges_differ(const ValueFacts& input) {
  if (!input.has_codes) return false;
  const double calibrated = std::max(input.grid_high, -input.grid_low), here = std::max(input.high, -input.low);
  if (!(calibrated > 0) || !(here > 0)) return false;
  return (here > kOtherScale * calibrated && input.clipped_share > kClipped) || calibrated > kUnused * here;
}

std::vector<Finding> find_data_mismatch(const NetworkFacts& facts) {
  std::vector<Finding> findings;
  for (const ValueFacts& input : facts.inputs) {
    if (input.count == 0 || input.low == input.high) continue;
    if (distributions_differ(input))
      findings.push_back(finding_about(
          input,
          fmt::format("these data are {:.3g} +- {:.3g} at this input, the calibration data were {:.3g} +- {:.3g} "
                      "(mean, standard deviation): they are not alike",
                      input.mean, input.standard_deviation, input.calibrated_mean, input.calibrated_deviation)));
    else if (ranges_differ(input))
      findings.push_back(finding_about(
          input, fmt::format("these data reach from {:.3g} to {:.3g} at this input, calibration made codes for {:.3g} "
                             "to {:.3g}: they are not alike",
                             input.low, input.high, input.grid_low, input.grid_high)));
  }
  return findings;
}

}  // namespace

const Rule data_mismatch_rule{
    .name = "data-mismatch",
    .summary = "these data are unlike those that the file was calibrated on",
    .threshold =
        "at a network input: deviations differ > 1.5x or means by > 0.5 of one; else reach > 1.5x the "
        "calibrated range with > 1 % clipped, or < 1/4 of it",
    .explains_error = false,
    .layer = nullptr,
    .network = find_data_mismatch};

}  // namespace lowbit
