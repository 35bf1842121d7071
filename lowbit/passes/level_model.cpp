#include "lowbit/passes/level_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "lowbit/numbers/element_groups.h"

namespace lowbit {
namespace {

constexpr int64_t kMostCodes = int64_t{1} << 16;

struct Source {
  const Quantization& q;
  size_t each;    ///< parameters of a group
  size_t groups;  ///< number of groups
  CodeRange codes;
  const float* group(size_t g) const { return q.params.data() + g * each; }
};

/// Fills rows and row_of_group from the parameters from first_rest on.
void find_rows(const Source& source, LevelModel& model) {
  std::map<std::vector<float>, int32_t> known;
  for (size_t g = 0; g < source.groups; ++g) {
    const float* params = source.group(g);
    std::vector<float> rest(params + model.first_rest, params + source.each);
    const auto [found, fresh] = known.try_emplace(rest, static_cast<int32_t>(model.rows.size()));
    if (fresh) model.rows.push_back(std::move(rest));
    model.row_of_group.push_back(found->second);
  }
}

/// The units of every row: levels with factors 1, or the float32 levels themselves.
void find_units(const Source& source, LevelModel& model) {
  NumberFormat inner = source.q.format;
  if (model.has_factors()) inner.standardized = false;
  for (const std::vector<float>& rest : model.rows) {
    std::vector<float> params(rest);
    if (model.has_factors()) params.insert(params.begin(), 1.0f);
    for (int32_t code = source.codes.min; code <= source.codes.max; ++code) {
      double unit = 0;
      if (model.has_factors()) {
        unit = inner.system->level(inner, params.data(), code);
      } else {
        float level = 0;
        decode(source.q.format, params.data(), &code, 1, &level);
        unit = static_cast<double>(level);
      }
      // Codes of infinities and NaN are never chosen; readers refuse such constants.
      model.units.push_back(std::isfinite(unit) ? unit : 0);
    }
  }
  const bool narrow = std::all_of(model.units.begin(), model.units.end(),
                                  [](double u) { return static_cast<double>(static_cast<float>(u)) == u; });
  model.units_are_float32 = narrow && model.deviation_at < 0;
}

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

bool reproduces(const Source& source, const LevelModel& model, std::span<const int32_t> groups,
                std::span<const int32_t> codes, std::span<const float> values) {
  const auto count = static_cast<size_t>(source.codes.count());
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto g = static_cast<size_t>(groups[i]);
    const float* params = source.group(g);
    double value = model.units[static_cast<size_t>(model.row_of_group[g]) * count +
                               static_cast<size_t>(codes[i] - source.codes.min)];
    if (model.scale_at >= 0) value = static_cast<double>(params[model.scale_at]) * value;
    if (model.deviation_at >= 0) value = static_cast<double>(params[model.deviation_at]) * value;
    if (model.mean_at >= 0) value = static_cast<double>(params[model.mean_at]) + value;
    if (!same_bits(static_cast<float>(value), values[i])) return false;
  }
  return true;
}

}  // namespace

int64_t LevelModel::bytes() const {
  const auto groups = static_cast<int64_t>(row_of_group.size());
  const int64_t factors = (scale_at >= 0) + (deviation_at >= 0) + (mean_at >= 0);
  const int64_t row_bytes = rows.size() > 1 ? groups * (rows.size() > 256 ? 4 : 1) : 0;
  return static_cast<int64_t>(units.size()) * (units_are_float32 ? 4 : 8) + factors * 4 * groups + row_bytes;
}

std::optional<LevelModel> level_model(const Quantization& quantization, const Dims& dims,
                                      std::span<const int32_t> codes, std::span<const float> values) {
  const auto each = static_cast<size_t>(quantization.format.system->param_count(quantization.format));
  const auto groups = static_cast<size_t>(group_count(quantization.granularity, dims));
  const Source source{quantization, each, groups, quantization.codes()};
  if (source.codes.count() > kMostCodes) return std::nullopt;
  const std::vector<int32_t> group_of = group_of_elements(quantization.granularity, dims);
  std::optional<LevelModel> best;
  for (const bool factors : {true, false}) {
    LevelModel model;
    const int outer = quantization.format.standardized ? 2 : 0;
    if (factors) {
      if (static_cast<int>(each) <= outer) continue;
      if (outer > 0) model.mean_at = 0, model.deviation_at = 1;
      model.scale_at = outer;
      model.first_rest = outer + 1;
    }
    find_rows(source, model);
    // Tables larger than the values they stand for are no saving, whatever the model.
    const double table = static_cast<double>(model.rows.size()) * static_cast<double>(source.codes.count());
    if (best && table * 4 >= static_cast<double>(best->bytes())) continue;
    find_units(source, model);
    if (!reproduces(source, model, group_of, codes, values)) continue;
    if (!best || model.bytes() < best->bytes()) best = std::move(model);
  }
  return best;
}

}  // namespace lowbit
