#include <cmath>

#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr double kSteps = 0.5;  // rounding alone averages out; half a step of mean error does not

std::optional<Finding> find_mean_shift(const LayerFacts& facts) {
  const ValueFacts& result = facts.result;
  if (!result.has_codes || !(result.step > 0) || result.channels.empty()) return std::nullopt;
  double squares = 0;
  for (const ChannelFacts& channel : result.channels) squares += channel.mean_error * channel.mean_error;
  const double shift = std::sqrt(squares / static_cast<double>(result.channels.size())) / result.step;
  if (shift <= kSteps) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format("its channels are shifted by {:.1f} steps on average, as a wrong bias would do", shift);
  finding.remedy = {"--method", "bias-correct"};
  return finding;
}

}  // namespace

const Rule mean_shift_rule{.name = "mean-shift",
                           .summary = "channels are shifted as by a wrong bias",
                           .threshold = "mean error of the channels > half a step (root mean square)",
                           .explains_error = true,
                           .layer = find_mean_shift};

}  // namespace lowbit
