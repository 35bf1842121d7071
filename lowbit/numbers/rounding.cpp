#include "lowbit/numbers/rounding.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/base/text.h"
#include "lowbit/numbers/level_table.h"

namespace lowbit {
namespace {

/// Picks the code for x between its neighbours; `uniform` in [0, 1).
int32_t pick(const Neighbours& around, float x, double uniform) {
  const double gap = static_cast<double>(around.above) - static_cast<double>(around.below);
  if (!(gap > 0)) return around.below_code;
  const double share = (static_cast<double>(x) - static_cast<double>(around.below)) / gap;
  return uniform < share ? around.above_code : around.below_code;
}

void check_scalar(const NumberFormat& format) {
  if (format.vector_size > 1)
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} has no stochastic rounding: a value of it has no two neighbouring levels (use nearest)",
                            to_string(format)));
}

}  // namespace

Rounding parse_rounding(std::string_view text) {
  if (text == "nearest") return {};
  if (text == "stochastic") return {.kind = Rounding::Kind::stochastic};
  if (text.starts_with("stochastic:")) {
    const std::optional<int64_t> seed = parse_int(text.substr(11));
    if (seed && *seed >= 0) return {.kind = Rounding::Kind::stochastic, .seed = static_cast<uint64_t>(*seed)};
  }
  throw Error(ErrorCode::bad_argument,
              fmt::format("'{}' is no rounding (use nearest or stochastic:SEED with a whole number >= 0)",
                          printable(text, 80)));
}

std::string to_string(const Rounding& rounding) {
  return rounding.kind == Rounding::Kind::nearest ? "nearest" : fmt::format("stochastic:{}", rounding.seed);
}

struct NeighbourFinder::State {
  LevelTable table;
};

NeighbourFinder::NeighbourFinder(const NumberFormat& format, const float* params)
    : state_(std::make_unique<const State>(State{LevelTable(format, params)})) {}

NeighbourFinder::~NeighbourFinder() = default;

Neighbours NeighbourFinder::find(float x) const {
  const std::vector<float>& levels = state_->table.levels();
  const std::vector<int32_t>& codes = state_->table.level_codes();
  const float value = std::isnan(x) ? 0 : x;
  // The first level that is not below the value; the last one for values beyond it.
  const auto at = std::min(std::lower_bound(levels.begin(), levels.end(), value), levels.end() - 1);
  const size_t above = static_cast<size_t>(at - levels.begin());
  const size_t below = above > 0 && levels[above] > value ? above - 1 : above;
  return {codes[below], codes[above], levels[below], levels[above]};
}

void encode_rounded(const NumberFormat& format, const float* params, const Rounding& rounding, const float* x,
                    int64_t n, int64_t first_index, int32_t* codes) {
  if (rounding.kind == Rounding::Kind::nearest) return encode(format, params, x, n, codes);
  check_scalar(format);
  if (n <= 0) return;
  const NeighbourFinder finder(format, params);
  const Random random(rounding.seed);
  for (int64_t i = 0; i < n; ++i)
    codes[i] = pick(finder.find(x[i]), x[i], random.uniform_at(static_cast<uint64_t>(first_index + i)));
}

void encode_groups_rounded(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                           std::span<const float> params, const Rounding& rounding, const float* x, int32_t* codes) {
  if (rounding.kind == Rounding::Kind::nearest) return encode_groups(format, granularity, dims, params, x, codes);
  check_scalar(format);
  check_group_params(format, granularity, dims, params);
  const int64_t each = format.system->param_count(format);
  const Random random(rounding.seed);
  for_each_group(granularity, dims, [&](int64_t group, std::span<const Run> runs) {
    const NeighbourFinder finder(format, params.data() + group * each);
    for (const Run& run : runs)
      for (int64_t i = run.begin; i < run.begin + run.count; ++i)
        codes[i] = pick(finder.find(x[i]), x[i], random.uniform_at(static_cast<uint64_t>(i)));
  });
}

}  // namespace lowbit
