#include "lowbit/observe/range.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"
#include "lowbit/observe/float_mode.h"
#include "lowbit/observe/range_search.h"

namespace lowbit {
namespace {

/// Discrete data: at most this many bins hold values, each of them this many on average.
constexpr size_t kMostDiscreteBins = 640;
constexpr int64_t kValuesPerDiscreteBin = 16;
/// ... unless clipping lowers the error by this factor: then the values are a narrow cluster with outliers.
constexpr double kClusterGain = 4;
/// An end is hard if its last 64th of the range holds at least this share of what a uniform density would put there.
constexpr double kEndPart = 1.0 / 64, kHardEnd = 0.25;
/// More than this share is clipped only if it lowers the error by that factor.
constexpr double kMostClipped = 1e-3, kClipGain = 1.25;
/// Clipping that lowers the error by less is not worth it.
constexpr double kLeastGain = 0.02;

struct RuleName {
  RangeRule::Kind kind;
  const char* name;
};
constexpr std::array<RuleName, 6> kRuleNames{{{RangeRule::Kind::minmax, "minmax"},
                                              {RangeRule::Kind::moving_average, "average"},
                                              {RangeRule::Kind::percentile, "percentile"},
                                              {RangeRule::Kind::mse, "mse"},
                                              {RangeRule::Kind::entropy, "entropy"},
                                              {RangeRule::Kind::adaptive, "adaptive"}}};

struct Choice {
  Interval range;
  std::string origin;
};

std::string percent(double share) { return fmt::format("{:.3g} %", 100 * share); }

Interval average_interval(const TensorStatistics& s) {
  const auto n = static_cast<double>(s.finite_samples);
  return {std::min(0.0, s.sum_of_sample_minima.value() / n), std::max(0.0, s.sum_of_sample_maxima.value() / n)};
}

/// Cuts `share` of the values: half on each side, all on one side of one-sided data.
Interval cut_interval(const TensorStatistics& s, double share) {
  const Interval full = full_interval(s);
  const double each = full.low < 0 && full.high > 0 ? share / 2 : share;
  return {full.low < 0 ? std::clamp(s.histogram.quantile(each), full.low, 0.0) : 0.0,
          full.high > 0 ? std::clamp(s.histogram.quantile(1 - each), 0.0, full.high) : 0.0};
}

Interval search_mse(const TensorStatistics& s, const ErrorModel& model, const NumberFormat& format, Sides sides) {
  return search_range(full_interval(s), format, sides,
                      [&](const Interval& range) { return model.mean_squared_error(range); });
}

/// The ends at which the values thin out.
Sides soft_sides(const TensorStatistics& s) {
  const Interval full = full_interval(s);
  const double part = (full.high - full.low) * kEndPart;
  const double needed = kHardEnd * kEndPart * static_cast<double>(s.finite());
  const auto soft = [&](double low, double high) { return s.histogram.uniform(low, high, 1)[0] < needed; };
  return {full.low < 0 && soft(full.low, full.low + part), full.high > 0 && soft(full.high - part, full.high)};
}

bool is_discrete(const TensorStatistics& s) {
  const size_t bins = s.histogram.bins().size();
  return bins <= kMostDiscreteBins && s.finite() >= kValuesPerDiscreteBin * static_cast<int64_t>(bins);
}

Choice adaptive(const TensorStatistics& s, const NumberFormat& format) {
  const Interval full = full_interval(s);
  const Sides soft = soft_sides(s);
  if (!soft.low && !soft.high) return {full, "adaptive: minmax, bounded values"};
  const ErrorModel model(s, format);
  Interval range = search_mse(s, model, format, soft);
  const double unclipped = model.mean_squared_error(full);
  if (is_discrete(s) && model.mean_squared_error(range) * kClusterGain > unclipped)
    return {full, "adaptive: minmax, discrete values"};
  std::string note = "tail";
  if (model.clipped_share(range) > kMostClipped) {
    Interval held = cut_interval(s, kMostClipped);
    held = {std::min(range.low, held.low), std::max(range.high, held.high)};
    if (model.mean_squared_error(held) < kClipGain * model.mean_squared_error(range)) {
      range = held;
      note = "tail, held at " + percent(kMostClipped);
    }
  }
  if (model.mean_squared_error(range) > (1 - kLeastGain) * unclipped) return {full, "adaptive: minmax, no tail"};
  return {range, fmt::format("adaptive: mse, {} (clips {})", note, percent(model.clipped_share(range)))};
}

Choice choose(const TensorStatistics& s, const RangeRule& rule, const NumberFormat& format) {
  const Interval full = full_interval(s);
  switch (rule.kind) {
    case RangeRule::Kind::minmax:
      return {full, "minmax"};
    case RangeRule::Kind::moving_average:
      return {average_interval(s), fmt::format("average of {} samples", s.finite_samples)};
    case RangeRule::Kind::percentile:
      return {cut_interval(s, 1 - rule.percentile / 100), to_string(rule)};
    case RangeRule::Kind::mse: {
      const ErrorModel model(s, format);
      const Interval range = search_mse(s, model, format, {});
      return {range, fmt::format("mse (clips {})", percent(model.clipped_share(range)))};
    }
    case RangeRule::Kind::entropy: {
      const EntropyModel model(s, format);
      const Interval range =
          search_range(full, format, {}, [&](const Interval& candidate) { return model.divergence(candidate); });
      return {range, fmt::format("entropy (clips {})", percent(ErrorModel(s, format).clipped_share(range)))};
    }
    case RangeRule::Kind::adaptive:
      return adaptive(s, format);
  }
  LOWBIT_CHECK(false);
}

}  // namespace

RangeRule parse_range_rule(const std::string& text) {
  const std::string name = text.substr(0, text.find(':'));
  RangeRule rule;
  const auto found =
      std::find_if(kRuleNames.begin(), kRuleNames.end(), [&](const RuleName& row) { return name == row.name; });
  if (found == kRuleNames.end()) {
    std::vector<std::string> names;
    for (const RuleName& row : kRuleNames) names.emplace_back(row.name);
    const std::string guess = did_you_mean(name, names);
    throw Error(ErrorCode::bad_argument, fmt::format("there is no range rule '{}'; {}", printable(name, 60),
                                                     guess.empty() ? "use one of " + join(names, ", ") : guess));
  }
  rule.kind = found->kind;
  if (name.size() == text.size()) return rule;
  const std::optional<double> value = parse_double(std::string_view(text).substr(name.size() + 1));
  if (rule.kind != RangeRule::Kind::percentile || !value || !(*value > 0 && *value <= 100))
    throw Error(
        ErrorCode::bad_argument,
        fmt::format("the range rule '{}' is not understood; only percentile takes a number, above 0 and at most "
                    "100, as in percentile:99.9",
                    printable(text, 60)));
  rule.percentile = *value;
  return rule;
}

std::string to_string(const RangeRule& rule) {
  for (const RuleName& row : kRuleNames) {
    if (row.kind != rule.kind) continue;
    return rule.kind == RangeRule::Kind::percentile ? fmt::format("{}:{}", row.name, rule.percentile) : row.name;
  }
  LOWBIT_CHECK(false);
}

Range choose_range(const TensorStatistics& statistics, const RangeRule& rule, const NumberFormat& format) {
  if (statistics.finite() == 0)
    throw Error(ErrorCode::bad_argument,
                statistics.count == 0 ? "a range needs values, but none were seen; give calibration data"
                                      : "a range needs finite values, but all were NaN or infinite; check the data");
  const FloatMode mode;
  const Choice choice = choose(statistics, rule, format);
  return {static_cast<float>(choice.range.low), static_cast<float>(choice.range.high), choice.origin};
}

double expected_mse(const TensorStatistics& statistics, const NumberFormat& format, float low, float high) {
  const FloatMode mode;
  return ErrorModel(statistics, format).mean_squared_error({low, high});
}

}  // namespace lowbit
