#include <algorithm>

#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

constexpr double kApart = 16;  // half of the bits of the smaller input are lost on a common scale

double reach(const ValueFacts& value) { return std::max(value.high, -value.low); }

/// Add and Concat put their inputs on one scale; the columns that Mul makes of differing factors share one. The large
/// part hides the error of the small one in the sum over all values, so that the parts are judged.
std::optional<Finding> find_mixed_range(const LayerFacts& facts) {
  const bool joins = facts.op == "Concat" || facts.op == "Add" || facts.op == "Sub" || facts.op == "Sum";
  const bool multiplies = facts.op == "Mul" || facts.op == "Div";
  if (!facts.result.has_codes || (!joins && !multiplies)) return std::nullopt;
  double least = 0, most = 0, worst_db = facts.local_sqnr_db;
  const char* what = "it joins inputs whose ranges differ";
  if (joins) {
    for (const ValueFacts& input : facts.inputs)
      if (const double r = reach(input); input.count > 0 && r > 0) {
        least = least > 0 ? std::min(least, r) : r;
        most = std::max(most, r);
        if (facts.op == "Concat") worst_db = std::min(worst_db, input.sqnr_db);
      }
  }
  if (multiplies) {  // a head that scales its columns: boxes in pixels beside scores in 0..1
    what = "the columns that it makes differ";
    std::vector<double> reaches;
    for (const ChannelFacts& channel : facts.result.channels)
      if (channel.reach() > 0 && channel.low != channel.high) {
        reaches.push_back(channel.reach());
        worst_db = std::min(worst_db, channel.sqnr_db);
      }
    if (reaches.size() >= 2) {
      least = *std::min_element(reaches.begin(), reaches.end());
      most = *std::max_element(reaches.begin(), reaches.end());
    }
  }
  if (!(least > 0) || most <= kApart * least || !(worst_db < kGoodEnoughDb)) return std::nullopt;
  Finding finding;
  finding.cause = fmt::format("{} {:.0f}x ({:.3g} and {:.3g}), but share one scale: the small one keeps few codes",
                              what, most / least, most, least);
  finding.remedy = {"--exclude", facts.name};
  finding.advice = "or --activations int16";
  return finding;
}

}  // namespace

const Rule mixed_range_rule{.name = "mixed-range",
                            .summary = "a concat, sum or product puts values of very different range on one scale",
                            .threshold = "low-bit result, ranges differ > 16x, the worst part below 40 dB",
                            .explains_error = false,
                            .layer = find_mixed_range};

}  // namespace lowbit
