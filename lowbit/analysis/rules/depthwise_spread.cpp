#include <algorithm>

#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr double kSpread = 16;   // widest / narrowest channel: half of the bits of the narrow ones are lost
constexpr double kShare = 0.05;  // ends that do not count: a channel or two may be dead

std::optional<Finding> find_depthwise_spread(const LayerFacts& facts) {
  if (!facts.depthwise || !facts.weights_per_tensor || facts.channel_ranges.size() < 2) return std::nullopt;
  std::vector<double> sorted = facts.channel_ranges;
  std::sort(sorted.begin(), sorted.end());
  const auto end = static_cast<size_t>(kShare * static_cast<double>(sorted.size()));
  const double low = sorted[end], high = sorted[sorted.size() - 1 - end];
  if (!(low > 0) || high <= kSpread * low) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format(
      "the filters of this depthwise layer differ {:.0f}x in range ({:.3g} to {:.3g}) and share one scale: the narrow "
      "ones keep few codes",
      high / low, low, high);
  finding.remedy = {"--granularity", "channel"};
  return finding;
}

}  // namespace

const Rule depthwise_spread_rule{
    .name = "depthwise-spread",
    .summary = "filters of a depthwise layer of very different range share a scale",
    .threshold = "one scale for all, widest > 16x the narrowest (5 % left out at the ends)",
    .explains_error = true,
    .layer = find_depthwise_spread};

}  // namespace lowbit
