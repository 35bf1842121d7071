#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr double kDeviations = 20;

std::optional<Finding> find_exploding_tail(const LayerFacts& facts) {
  const ValueFacts& result = facts.result;
  if (!result.has_codes || !(result.standard_deviation > 0)) return std::nullopt;
  const double covered = result.grid_high - result.grid_low;
  if (result.high - result.low <= kDeviations * result.standard_deviation ||
      covered <= kDeviations * result.standard_deviation)
    return std::nullopt;
  Finding finding;
  finding.cause = fmt::format(
      "a long tail: its values reach {:.0f} standard deviations wide and its codes cover them, so that most values "
      "share few codes",
      (result.high - result.low) / result.standard_deviation);
  finding.remedy = {"--range", "mse"};
  return finding;
}

}  // namespace

const Rule exploding_tail_rule{.name = "exploding-tail",
                               .summary = "rare large values stretch the range of the codes",
                               .threshold = "values and codes reach over > 20 standard deviations",
                               .explains_error = true,
                               .layer = find_exploding_tail};

}  // namespace lowbit
