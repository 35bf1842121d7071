#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr int64_t kFew = 32;

std::optional<Finding> find_few_codes(const LayerFacts& facts) {
  const ValueFacts& result = facts.result;
  if (!result.has_codes || result.codes < 256 || result.codes_used >= kFew) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format(
      "only {} of its {} codes are used: its values (up to {:.3g}) are small beside the range of "
      "the codes ({:.3g} to {:.3g})",
      result.codes_used, result.codes, std::max(result.high, -result.low), result.grid_low, result.grid_high);
  finding.remedy = {"--range", "mse"};
  finding.advice = "calibrate on data like these samples";
  return finding;
}

}  // namespace

const Rule few_codes_rule{.name = "few-codes",
                          .summary = "most codes are never used",
                          .threshold = "< 32 of 256 and more codes",
                          .explains_error = true,
                          .layer = find_few_codes};

}  // namespace lowbit
