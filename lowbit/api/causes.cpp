#include "lowbit/api/causes.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace lowbit {
namespace {

constexpr double kGoodEnoughDb = 40;     // an error of a hundredth of the signal
constexpr double kChannelImbalance = 8;  // widest channel / median channel: three of the eight bits are lost
constexpr double kMuchClipped = 0.01;
constexpr double kTailDeviations = 20;  // a range this wide in standard deviations is spent on a few values
constexpr int64_t kFewCodes = 32;
constexpr double kShiftSteps = 0.5;     // rounding alone averages out; half a step of mean error does not
constexpr double kInputImbalance = 16;  // half of the bits of the smaller input are lost on a common scale
constexpr int kNarrowWeights = 6;

using Rule = Finding (*)(const LayerFacts&);

Finding channel_imbalance(const LayerFacts& facts) {
  if (!facts.weights_per_tensor || facts.channel_ranges.size() < 2) return {};
  std::vector<double> sorted = facts.channel_ranges;
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[sorted.size() / 2];
  if (!(median > 0) || sorted.back() <= kChannelImbalance * median) return {};
  return {fmt::format("its widest output channel is {:.0f} times the median one, and all share one weight scale",
                      sorted.back() / median),
          "--granularity channel"};
}

Finding clipping(const LayerFacts& facts) {
  if (!facts.has_codes || facts.clipped_share <= kMuchClipped) return {};
  return {fmt::format("{:.1f} % of its values are beyond the calibrated range and clipped", 100 * facts.clipped_share),
          "--range minmax, or calibration data that cover these samples"};
}

Finding long_tail(const LayerFacts& facts) {
  const double width = facts.high - facts.low;
  if (!facts.has_codes || !(facts.standard_deviation > 0) || width <= kTailDeviations * facts.standard_deviation)
    return {};
  return {fmt::format("a long tail: its range is {:.0f} standard deviations wide, so most values share few codes",
                      width / facts.standard_deviation),
          "--range mse"};
}

Finding mixed_inputs(const LayerFacts& facts) {
  if (!facts.joins_inputs || facts.input_ranges.size() < 2) return {};
  const auto [least, most] = std::minmax_element(facts.input_ranges.begin(), facts.input_ranges.end());
  if (!(*least > 0) || *most <= kInputImbalance * *least) return {};
  return {
      fmt::format("it joins inputs whose ranges differ {:.0f} times; the small one keeps few codes", *most / *least),
      fmt::format("--exclude '{}', or --activations int16", facts.name)};
}

Finding few_codes(const LayerFacts& facts) {
  if (!facts.has_codes || facts.codes < 256 || facts.codes_used >= kFewCodes) return {};
  return {fmt::format("only {} of its {} codes are used: the signal is small beside the calibrated range",
                      facts.codes_used, facts.codes),
          "--range mse, or calibration data like these samples"};
}

Finding mean_shift(const LayerFacts& facts) {
  if (!facts.has_codes || !(facts.step > 0) || facts.mean_shift <= kShiftSteps * facts.step) return {};
  return {fmt::format("its channels are shifted by {:.1f} steps on average, as a wrong bias would do",
                      facts.mean_shift / facts.step),
          "--method bias-correct"};
}

Finding narrow_weights(const LayerFacts& facts) {
  if (facts.weight_bits == 0 || facts.weight_bits >= kNarrowWeights) return {};
  return {fmt::format("its weights have {} bits only", facts.weight_bits),
          fmt::format("--weight-range mse, or more bits for '{}' in a recipe", facts.name)};
}

constexpr Rule kRules[] = {channel_imbalance, clipping, mixed_inputs, long_tail, few_codes, mean_shift, narrow_weights};

}  // namespace

Finding explain(const LayerFacts& facts) {
  if (facts.local_sqnr_db >= kGoodEnoughDb) return {};
  for (const Rule rule : kRules)
    if (Finding finding = rule(facts); !finding.cause.empty()) return finding;
  return {};
}

}  // namespace lowbit
