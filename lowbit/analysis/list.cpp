#include <algorithm>
#include <cmath>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {

std::span<const Rule* const> rule_table() {
  static const Rule* const rows[] = {
      &constant_input_rule,   &unseen_tensor_rule,   &outlier_weight_channel_rule,
      &depthwise_spread_rule, &saturating_clip_rule, &mixed_range_rule,
      &exploding_tail_rule,   &outlier_channel_rule, &data_mismatch_rule,
      &few_codes_rule,        &mean_shift_rule,      &narrow_weights_rule,
      &narrow_values_rule,    &dead_channel_rule,
  };
  return rows;
}

double LayerFacts::judged_db() const {
  std::vector<double> channels;
  for (const ChannelFacts& channel : result.channels)
    if (channel.low != channel.high) channels.push_back(channel.sqnr_db);
  return channels.empty() ? local_sqnr_db : std::min(local_sqnr_db, median_of(std::move(channels)));
}

std::vector<Finding> find_causes(const NetworkFacts& facts) {
  std::vector<Finding> findings;
  const auto keep = [&](const Rule& rule, Finding finding) {
    finding.rule = rule.name;
    findings.push_back(std::move(finding));
  };
  for (const Rule* rule : rule_table())
    if (rule->network)
      for (Finding& finding : rule->network(facts)) keep(*rule, std::move(finding));
  std::vector<const LayerFacts*> layers;
  for (const LayerFacts& layer : facts.layers) layers.push_back(&layer);
  std::stable_sort(layers.begin(), layers.end(),
                   [](const LayerFacts* a, const LayerFacts* b) { return a->judged_db() < b->judged_db(); });
  for (const LayerFacts* layer : layers) {
    for (const Rule* rule : rule_table()) {
      if (!rule->layer || (rule->explains_error && !(layer->judged_db() < kGoodEnoughDb))) continue;
      if (std::optional<Finding> finding = rule->layer(*layer)) {
        finding->layer = layer->name;
        keep(*rule, std::move(*finding));
      }
    }
  }
  return findings;
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Widest widest_of(std::span<const double> ranges) {
  if (ranges.size() < 2) return {};
  const auto most = std::max_element(ranges.begin(), ranges.end());
  const double median = median_of({ranges.begin(), ranges.end()});
  return {static_cast<size_t>(most - ranges.begin()), median > 0 ? *most / median : 0};
}

}  // namespace lowbit
