#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr int kFewWeightBits = 6;

std::optional<Finding> find_narrow_weights(const LayerFacts& facts) {
  if (facts.weight_bits == 0 || facts.weight_bits >= kFewWeightBits) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format("its weights have only {} bits", facts.weight_bits);
  finding.remedy = {"--method", "gptq"};
  finding.advice = fmt::format("if that is in use already: more bits for '{}' by a rule in a recipe", facts.name);
  return finding;
}

}  // namespace

const Rule narrow_weights_rule{.name = "narrow-weights",
                               .summary = "the weights have few bits, and nothing else stands out",
                               .threshold = "< 6 bits",
                               .explains_error = true,
                               .layer = find_narrow_weights};

}  // namespace lowbit
