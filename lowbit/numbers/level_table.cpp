#include "lowbit/numbers/level_table.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lowbit/base/error.h"
#include "lowbit/numbers/threshold_grid.h"
#include "lowbit/numbers/vector_loops.h"
#include "lowbit/numbers/vector_search.h"

namespace lowbit {

float saturate_to_float(double value) {
  constexpr double kMost = std::numeric_limits<float>::max();
  if (!std::isfinite(value)) return static_cast<float>(value);
  return static_cast<float>(std::clamp(value, -kMost, kMost));
}

float split_between(float low, float high, bool tie_goes_low) {
  const double middle = 0.5 * (static_cast<double>(low) + static_cast<double>(high));
  float split = static_cast<float>(middle);
  if (split > middle || (split == middle && !tie_goes_low))
    split = std::nextafter(split, -std::numeric_limits<float>::infinity());
  // The middle of two neighbouring floats may round onto `high`, or the step down leave `low`.
  return std::max(split, low);
}

std::vector<float> level_values(const NumberFormat& format, const float* params) {
  LOWBIT_CHECK(format.system->level);
  const CodeRange range = format.system->codes(format);
  LOWBIT_CHECK(range.count() >= 1 && range.count() <= (1 << kTableBits));
  std::vector<float> values;
  values.reserve(static_cast<size_t>(range.count()));
  for (int32_t code = range.min; code <= range.max; ++code)
    values.push_back(saturate_to_float(format.system->level(format, params, code)));
  return values;
}

LevelTable::LevelTable(const NumberFormat& format, const float* params)
    : range_(format.system->codes(format)), values_(level_values(format, params)) {
  sort_levels();
  size_t padded = 1;
  while (padded < levels_.size()) padded *= 2;
  thresholds_.assign(padded, std::numeric_limits<float>::infinity());
  const auto is_even = [](int32_t code) { return (code & 1) == 0; };
  for (size_t k = 0; k + 1 < levels_.size(); ++k) {
    const int32_t low = level_codes_[k], high = level_codes_[k + 1];
    const bool tie_goes_low = is_even(low) != is_even(high) ? is_even(low) : low < high;
    thresholds_[k] = split_between(levels_[k], levels_[k + 1], tie_goes_low);
  }
  level_codes_.resize(padded, level_codes_.back());
}

void LevelTable::sort_levels() {
  std::vector<int32_t> order(values_.size());
  std::iota(order.begin(), order.end(), 0);
  const auto value = [this](int32_t index) { return values_[static_cast<size_t>(index)]; };
  std::erase_if(order, [&](int32_t index) { return !std::isfinite(value(index)); });
  const auto less = [&](int32_t a, int32_t b) { return value(a) < value(b); };
  if (!std::is_sorted(order.begin(), order.end(), less)) std::stable_sort(order.begin(), order.end(), less);
  for (int32_t index : order)
    if (levels_.empty() || value(index) != levels_.back()) {
      levels_.push_back(value(index));
      level_codes_.push_back(range_.min + index);
    }
  if (levels_.empty()) {
    levels_.push_back(0);
    level_codes_.push_back(range_.min);
  }
}

void LevelTable::encode(const float* x, int64_t n, int32_t* codes) const {
  constexpr size_t kManyLevels = 24;                 // few thresholds are compared one by one
  constexpr int64_t kWorthAGrid = int64_t{1} << 12;  // values whose encoding takes longer than making the grid
  if (levels_.size() > kManyLevels && n >= kWorthAGrid)
    if (const auto grid = threshold_grid({thresholds_.data(), levels_.size() - 1}))
      return grid_encode_loop(*grid, {level_codes_.data(), levels_.size()}, x, n, codes);
  threshold_encode_loop(thresholds_.data(), static_cast<int64_t>(thresholds_.size()), level_codes_.data(), x, n, codes);
}

std::vector<float> vector_values(const NumberFormat& format, const float* params) {
  LOWBIT_CHECK(format.system->vector_level);
  const CodeRange range = format.system->codes(format);
  std::vector<float> values;
  values.reserve(static_cast<size_t>(range.count() * format.vector_size));
  for (int32_t code = range.min; code <= range.max; ++code)
    for (int j = 0; j < format.vector_size; ++j)
      values.push_back(saturate_to_float(format.system->vector_level(format, params, code, j)));
  return values;
}

void encode_with(decltype(NumberSystem::encode) own, const NumberFormat& format, const float* params, const float* x,
                 int64_t n, int32_t* codes) {
  if (n <= 0) return;
  if (own) return own(format, params, x, n, codes);
  if (format.vector_size == 1) return LevelTable(format, params).encode(x, n, codes);
  const int64_t count = format.system->codes(format).count();
  VectorTable(vector_values(format, params), count, format.vector_size).nearest(x, nullptr, n, codes);
}

namespace {

void decode_vectors(const NumberFormat& format, const float* params, const int32_t* codes, int64_t n, float* y) {
  const CodeRange range = format.system->codes(format);
  for (int64_t i = 0; i < n; ++i)
    y[i] = saturate_to_float(
        format.system->vector_level(format, params, std::clamp(codes[i / format.vector_size], range.min, range.max),
                                    static_cast<int>(i % format.vector_size)));
}

}  // namespace

void decode_with(decltype(NumberSystem::decode) own, const NumberFormat& format, const float* params,
                 const int32_t* codes, int64_t n, float* y) {
  if (n <= 0) return;
  if (own) return own(format, params, codes, n, y);
  if (format.vector_size > 1) return decode_vectors(format, params, codes, n, y);
  const CodeRange range = format.system->codes(format);
  // A table costs one level per code: only worth it for more values than that.
  if (range.count() <= n) {
    const std::vector<float> values = level_values(format, params);
    return lookup_decode_loop(values.data(), range.min, range.count(), codes, n, y);
  }
  for (int64_t i = 0; i < n; ++i)
    y[i] = saturate_to_float(format.system->level(format, params, std::clamp(codes[i], range.min, range.max)));
}

}  // namespace lowbit
