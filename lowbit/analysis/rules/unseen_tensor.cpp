#include <algorithm>

#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr int64_t kFewValues = 32;

/// Values that no sample computed, or so few that a range of them means little: routed or data-dependent parts.
std::optional<Finding> find_unseen_tensor(const LayerFacts& facts) {
  const ValueFacts* unseen = nullptr;
  bool in_calibration = false;
  const auto judge = [&](const ValueFacts& value) {
    if (!value.has_codes || unseen) return;
    in_calibration = value.calibrated_values >= 0 && value.calibrated_values < kFewValues;
    if (in_calibration || value.count == 0) unseen = &value;
  };
  for (const ValueFacts& input : facts.inputs) judge(input);
  judge(facts.result);
  if (!unseen) return std::nullopt;
  Finding finding;
  finding.cause =
      in_calibration
          ? fmt::format("the range of its value '{}' comes from {} values only", unseen->name,
                        unseen->calibrated_values)
          : fmt::format("its value '{}' was never computed on these samples: its range cannot be judged", unseen->name);
  finding.remedy = {"--exclude", facts.name};
  finding.advice = "better: calibrate on samples that reach this part of the network";
  return finding;
}

}  // namespace

const Rule unseen_tensor_rule{.name = "unseen-tensor",
                              .summary = "a low-bit value that no sample computes, or hardly any",
                              .threshold = "no value on these data, or < 32 values in calibration",
                              .explains_error = false,
                              .layer = find_unseen_tensor};

}  // namespace lowbit
