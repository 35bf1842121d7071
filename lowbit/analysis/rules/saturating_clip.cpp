#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr double kSaturatedShare = 0.01;

std::optional<Finding> find_saturating_clip(const LayerFacts& facts) {
  const ValueFacts& result = facts.result;
  if (!result.has_codes || result.clipped_share <= kSaturatedShare) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format(
      "{:.1f} % of its values are outside of {:.3g} to {:.3g}, which its codes cover, and are clipped (they reach from "
      "{:.3g} to {:.3g})",
      100 * result.clipped_share, result.grid_low, result.grid_high, result.low, result.high);
  finding.remedy = {"--range", "minmax"};
  finding.advice = "if that does not help, calibrate on data that cover these samples";
  return finding;
}

}  // namespace

const Rule saturating_clip_rule{.name = "saturating-clip",
                                .summary = "values beyond the range of the codes are clipped",
                                .threshold = "> 1 % of the values, by more than half a step",
                                .explains_error = true,
                                .layer = find_saturating_clip};

}  // namespace lowbit
