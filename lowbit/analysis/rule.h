// rule.h: the rule engine: from figures to likely causes in words, each with the options that address it. One row and
// one file a rule; thresholds stand in the row's summary, so that every sentence can be checked by hand.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/analysis/facts.h"
#include "lowbit/core/diagnosis.h"

namespace lowbit {

/// Errors below this are not worth an explanation: a hundredth of the signal.
inline constexpr double kGoodEnoughDb = 40;

struct Rule {
  std::string_view name;       ///< "outlier-channel"
  std::string_view summary;    ///< what it looks for
  std::string_view threshold;  ///< when it speaks
  /// Speaks only of layers whose own error is worse than kGoodEnoughDb: it explains an error. Others tell of what is
  /// wrong whatever the error.
  bool explains_error;
  /// Looks at one layer; null: not about layers.
  std::optional<Finding> (*layer)(const LayerFacts& facts);
  /// Looks at the network as a whole; may be null.
  std::vector<Finding> (*network)(const NetworkFacts& facts) = nullptr;
};

/// In the order of trust: of several findings about a layer, that of the first rule is the likely cause.
std::span<const Rule* const> rule_table();

/// All findings: those about the network first, then layer by layer, worst own error first.
std::vector<Finding> find_causes(const NetworkFacts& facts);

/// The middle of the values (of an even number the upper one); 0 without any.
double median_of(std::vector<double> values);

/// "channel 17 of conv_3 has 40x the range of the median" for the widest of some channels, and its place.
struct Widest {
  size_t channel = 0;
  double times = 0;  ///< largest / median; 0 if there are fewer than two channels or the median is 0
};
Widest widest_of(std::span<const double> ranges);

}  // namespace lowbit
