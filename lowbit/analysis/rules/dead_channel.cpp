#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr size_t kMostNamed = 6;

std::optional<Finding> find_dead_channel(const LayerFacts& facts) {
  if (facts.channel_ranges.empty() || facts.result.count == 0 || facts.result.channels.size() < 2) return std::nullopt;
  std::string named;
  size_t dead = 0;
  for (size_t c = 0; c < facts.result.channels.size(); ++c) {
    if (facts.result.channels[c].low != facts.result.channels[c].high) continue;
    if (++dead <= kMostNamed) named += fmt::format("{}{}", named.empty() ? "" : ", ", c);
  }
  if (dead == 0) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format(
      "{} of its {} channels never change on these samples ({}{}): their weights cost bytes for "
      "nothing, or these data do not reach them",
      dead, facts.result.channels.size(), named, dead > kMostNamed ? ", ..." : "");
  finding.advice = "find_dead_channel at more samples (a larger --limit) before the channels are taken for dead";
  return finding;
}

}  // namespace

const Rule dead_channel_rule{.name = "dead-channel",
                             .summary = "channels of a layer with weights that never change",
                             .threshold = "smallest = largest value over all samples",
                             .explains_error = false,
                             .layer = find_dead_channel};

}  // namespace lowbit
