#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr int kNarrow = 6;

std::optional<Finding> look(const LayerFacts& facts) {
  if (!facts.result.has_codes || facts.result.bits == 0 || facts.result.bits >= kNarrow) return std::nullopt;
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
                              .layer = look};

}  // namespace lowbit
