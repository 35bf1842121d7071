#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr double kOutlier = 8;

std::optional<Finding> find_outlier_channel(const LayerFacts& facts) {
  if (!facts.result.has_codes) return std::nullopt;
  std::vector<double> reaches;
  for (const ChannelFacts& channel : facts.result.channels) reaches.push_back(channel.reach());
  const Widest widest = widest_of(reaches);
  if (widest.times <= kOutlier) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format(
      "channel {} of its result has {:.0f}x the range of the median channel, and activations share one scale: equalize "
      "the channels",
      widest.channel, widest.times);
  finding.remedy = {"--method", "equalize,default"};
  return finding;
}

}  // namespace

const Rule outlier_channel_rule{.name = "outlier-channel",
                                .summary = "one channel of the result is much wider than the others",
                                .threshold = "low-bit result, widest > 8x the median",
                                .explains_error = true,
                                .layer = find_outlier_channel};

}  // namespace lowbit
