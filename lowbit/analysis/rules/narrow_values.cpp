#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr int kFewValueBits = 6;

std::optional<Finding> find_narrow_values(const LayerFacts& facts) {
  if (!facts.result.has_codes || facts.result.bits == 0 || facts.result.bits >= kFewValueBits) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format("its result has only {} bits", facts.result.bits);
  finding.remedy = {"--activations", "uint8"};
  return finding;
}

}  // namespace

const Rule narrow_values_rule{.name = "narrow-values",
                              .summary = "the result has few bits, and nothing else stands out",
                              .threshold = "< 6 bits",
                              .explains_error = true,
                              .layer = find_narrow_values};

}  // namespace lowbit
