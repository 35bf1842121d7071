#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr double kOutlierWeights = 8;  // three of the eight bits of the median channel are lost

std::optional<Finding> find_outlier_weight_channel(const LayerFacts& facts) {
  if (!facts.weights_per_tensor || facts.depthwise) return std::nullopt;
  const Widest widest = widest_of(facts.channel_ranges);
  if (widest.times <= kOutlierWeights) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format(
      "output channel {} of its weights has {:.0f}x the range of the median channel, and all share one scale: use one "
      "per channel, or equalize",
      widest.channel, widest.times);
  finding.remedy = {"--granularity", "channel"};
  return finding;
}

}  // namespace

const Rule outlier_weight_channel_rule{.name = "outlier-weight-channel",
                                       .summary = "one output channel of the weights is much wider than the others",
                                       .threshold = "one scale for all, widest > 8x the median",
                                       .explains_error = true,
                                       .layer = find_outlier_weight_channel};

}  // namespace lowbit
