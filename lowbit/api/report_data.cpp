#include "lowbit/api/report_data.h"

#include <algorithm>
#include <cmath>

#include "lowbit/api/inspect.h"
#include "lowbit/core/weights.h"
#include "lowbit/numbers/level_table.h"

namespace lowbit {
namespace {

constexpr int kBins = 64;
constexpr int64_t kMostLevelsDrawn = 32;
constexpr int64_t kMostCodesWalked = 256;  // beyond, the ends of the code range are taken; those systems are monotone

/// The levels of the first group, ascending, if they are few enough to be seen.
std::vector<float> few_levels(const Quantization& quantization) {
  const NumberFormat& format = quantization.format;
  const CodeRange codes = quantization.codes();
  const auto stride = static_cast<size_t>(format.system->param_count(format));
  if (format.vector_size > 1 || codes.count() > kMostLevelsDrawn || quantization.params.size() < stride) return {};
  std::vector<float> levels;
  for (int32_t code = codes.min; code <= codes.max; ++code)
    levels.push_back(format.system->level(format, quantization.params.data(), code));
  std::sort(levels.begin(), levels.end());
  return levels;
}

Distribution describe(const Value& value, const char* kind) {
  Distribution result;
  result.name = value.name;
  result.kind = kind;
  result.format = number_system_text(value);
  const Interval range = representable_range(*value.quantization);
  result.grid_low = range.low;
  result.grid_high = range.high;
  result.levels = few_levels(*value.quantization);
  return result;
}

/// Where groups have parameters of their own, values are shown in units of the largest level of their group, so that
/// one set of levels fits all.
void in_group_units(const Quantization& quantization, Tensor& x, Distribution& result) {
  const NumberFormat& format = quantization.format;
  const CodeRange codes = quantization.codes();
  const auto stride = static_cast<size_t>(format.system->param_count(format));
  if (group_count(quantization.granularity, x.dims()) < 2 || stride == 0) return;
  const auto reach_of = [&](int64_t group) {
    double reach = 0;
    for (int32_t code = codes.min; code <= codes.max; ++code)
      reach =
          std::max<double>(reach, std::abs(format.system->level(
                                      format, quantization.params.data() + stride * static_cast<size_t>(group), code)));
    return reach;
  };
  Tensor scaled = Tensor::from<float>(x.dims(), x.values<float>());
  float* values = scaled.mutable_data<float>();
  for_each_group(quantization.granularity, x.dims(), [&](int64_t group, std::span<const Run> runs) {
    const double reach = reach_of(group);
    for (const Run& run : runs)
      for (int64_t i = run.begin; i < run.begin + run.count; ++i)
        values[i] = reach > 0 ? static_cast<float>(values[i] / reach) : 0.0f;
  });
  const double first = reach_of(0);
  if (!(first > 0)) return;
  for (float& level : result.levels) level = static_cast<float>(level / first);
  result.grid_low = result.levels.front();
  result.grid_high = result.levels.back();
  result.unit = "of the largest level of each group";
  x = std::move(scaled);
}

Distribution describe_weights(const Value& value) {
  Distribution result = describe(value, "weights");
  Tensor x = to_float32(unrounded_values(value));
  const Interval kept = unclipped_range(*value.quantization);
  int64_t clipped = 0;
  for (const float v : x.values<float>()) clipped += v < kept.low || v > kept.high;
  result.clipped_share = static_cast<double>(clipped) / static_cast<double>(x.count());
  if (!result.levels.empty()) in_group_units(*value.quantization, x, result);
  const auto values = x.values<float>();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  result.low = *low;
  result.high = *high;
  if (!(result.high > result.low)) return result;
  result.counts.assign(kBins, 0);
  for (const float v : values) {
    const double place = (v - result.low) / (result.high - result.low) * kBins;
    ++result.counts[static_cast<size_t>(std::clamp(place, 0.0, kBins - 1.0))];
  }
  return result;
}

Distribution describe_activations(const Value& value, const TensorStatistics& statistics) {
  Distribution result = describe(value, "activations");
  result.low = statistics.min;
  result.high = statistics.max;
  if (!(result.high > result.low)) return result;
  result.counts = statistics.histogram.uniform(result.low, result.high, kBins);
  const Interval kept = unclipped_range(*value.quantization);
  double clipped = 0, total = 0;
  for (const Histogram::Bin& bin : statistics.histogram.bins()) {
    total += static_cast<double>(bin.count);
    if (bin.high < kept.low || bin.low > kept.high) clipped += static_cast<double>(bin.count);
  }
  result.clipped_share = total > 0 ? clipped / total : 0;
  return result;
}

}  // namespace

Interval representable_range(const Quantization& quantization) {
  Interval range{INFINITY, -INFINITY};
  const NumberFormat& format = quantization.format;
  const CodeRange codes = quantization.codes();
  const auto stride = static_cast<size_t>(format.system->param_count(format));
  const bool walk = codes.count() <= kMostCodesWalked && !quantization.linear();
  for (size_t at = 0; stride > 0 && at + stride <= quantization.params.size(); at += stride) {
    const auto include = [&](double value) {
      range.low = std::min(range.low, value);
      range.high = std::max(range.high, value);
    };
    if (format.vector_size > 1) {
      for (const float value : vector_values(format, quantization.params.data() + at))
        include(static_cast<double>(value));
      continue;
    }
    const auto level = [&](int32_t code) {
      include(format.system->level(format, quantization.params.data() + at, code));
    };
    level(codes.min);
    level(codes.max);
    for (int32_t code = codes.min; walk && code < codes.max; ++code) level(code);
  }
  return range.low <= range.high ? range : Interval{};
}

Interval unclipped_range(const Quantization& quantization) {
  const Interval range = representable_range(quantization);
  const double half =
      0.5 * (range.high - range.low) / static_cast<double>(std::max<int64_t>(1, quantization.codes().count() - 1));
  return {range.low - half, range.high + half};
}

std::vector<Distribution> collect_distributions(const Graph& graph, const StatisticsSet& statistics) {
  std::vector<Distribution> weights, activations;
  for (const Value& value : graph.values) {
    if (!value.quantization || value.quantization->dynamic) continue;
    if (value.constant) {
      if (value.constant->count() > 1) weights.push_back(describe_weights(value));
    } else if (const auto found = statistics.tensors.find(value.name); found != statistics.tensors.end()) {
      activations.push_back(describe_activations(value, found->second));
    }
  }
  weights.insert(weights.end(), std::make_move_iterator(activations.begin()),
                 std::make_move_iterator(activations.end()));
  return weights;
}

}  // namespace lowbit
