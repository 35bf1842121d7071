#include "lowbit/runtime/integer_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "lowbit/core/weights.h"
#include "lowbit/numbers/linear.h"

namespace lowbit {
namespace {

constexpr double kLargestInteger = 32767;
constexpr int64_t kMostLevels = 256;

/// The levels of one group as integers times a unit of the scale.
struct Multiples {
  std::vector<int16_t> integers;  ///< by code
  double unit = 1;                ///< level = scale * unit * integer
};

/// Systems with one factor: level(scale, rest, code) = scale * level(1, rest, code).
std::optional<Multiples> find_multiples(const NumberFormat& format, const float* params, size_t count) {
  const CodeRange codes = format.system->codes(format);
  if (codes.count() > kMostLevels || count == 0 || format.standardized || format.vector_size > 1) return std::nullopt;
  std::vector<float> unit_params(params, params + count);
  unit_params[0] = 1;
  std::vector<double> levels;
  double smallest = INFINITY;
  for (int32_t code = codes.min; code <= codes.max; ++code) {
    const double unit = format.system->level(format, unit_params.data(), code);
    if (!std::isfinite(unit)) return std::nullopt;
    // The first parameter must be a factor of every level.
    if (format.system->level(format, params, code) != static_cast<double>(params[0]) * unit) return std::nullopt;
    levels.push_back(unit);
    if (unit != 0) smallest = std::min(smallest, std::abs(unit));
  }
  if (!std::isfinite(smallest)) return std::nullopt;
  Multiples result;
  // Sums of two powers are normalised by a number that need not be a power of two itself: their ratios are integers up
  // to the rounding of a division.
  constexpr double kRounding = 1e-12;
  for (double level : levels) {
    const double ratio = level / smallest, integer = std::nearbyint(ratio);
    if (std::abs(integer) > kLargestInteger || std::abs(ratio - integer) > kRounding * std::abs(ratio))
      return std::nullopt;
    result.integers.push_back(static_cast<int16_t>(integer));
  }
  result.unit = smallest;
  return result;
}

IntegerWeights linear_weights(const Quantization& q, const Tensor& codes, size_t groups) {
  IntegerWeights result;
  result.values.resize(static_cast<size_t>(codes.count()));
  for (size_t g = 0; g < groups; ++g) result.scales.push_back(q.linear_at(static_cast<int64_t>(g)).scale);
  const int32_t* from = codes.data<int32_t>();
  for_each_group(q.granularity, codes.dims(), [&](int64_t group, std::span<const Run> runs) {
    const int32_t zero = q.linear_at(group).zero_point;
    for (const Run& run : runs)
      for (int64_t i = run.begin; i < run.begin + run.count; ++i)
        result.values[static_cast<size_t>(i)] = static_cast<int16_t>(from[i] - zero);
  });
  return result;
}

/// Codes of at most 15 bits and their zero points differ by what 16 bits hold; of 16 bits only around a middle zero.
bool linear_fits(const Quantization& q, size_t groups) {
  for (size_t g = 0; g < groups; ++g) {
    const int32_t zero = q.linear_at(static_cast<int64_t>(g)).zero_point;
    if (q.codes().max - zero > INT16_MAX || q.codes().min - zero < INT16_MIN) return false;
  }
  return true;
}

}  // namespace

std::optional<IntegerWeights> integer_weights(const Value& weight) {
  if (!weight.constant || !weight.quantization) return std::nullopt;
  const Quantization& q = *weight.quantization;
  const auto each = static_cast<size_t>(q.format.system->param_count(q.format));
  const size_t groups = each == 0 ? 0 : q.params.size() / each;
  if (q.dynamic || groups == 0) return std::nullopt;
  if (q.linear()) {
    if (!linear_fits(q, groups)) return std::nullopt;
    return linear_weights(q, weight_codes(weight).cast(DType::int32), groups);
  }
  std::vector<Multiples> multiples;
  IntegerWeights result;
  for (size_t g = 0; g < groups; ++g) {
    auto found = find_multiples(q.format, q.params.data() + g * each, each);
    if (!found) return std::nullopt;
    const double scale = static_cast<double>(q.params[g * each]) * found->unit;
    if (!(scale >= 0x1p-126)) return std::nullopt;  // a subnormal scale has lost digits
    result.scales.push_back(static_cast<float>(scale));
    multiples.push_back(std::move(*found));
  }
  const Tensor codes = weight_codes(weight).cast(DType::int32);
  if (codes.dims() != weight.constant->dims()) return std::nullopt;  // vectors, not elements, have codes
  const int32_t lowest = q.codes().min;
  result.values.resize(static_cast<size_t>(codes.count()));
  for_each_group(q.granularity, codes.dims(), [&](int64_t group, std::span<const Run> runs) {
    const Multiples& m = multiples[static_cast<size_t>(group)];
    for (const Run& run : runs)
      for (int64_t i = run.begin; i < run.begin + run.count; ++i)
        result.values[static_cast<size_t>(i)] = m.integers[static_cast<size_t>(codes.data<int32_t>()[i] - lowest)];
  });
  result.shifts = std::all_of(result.values.begin(), result.values.end(), [](int16_t w) {
    return std::popcount(static_cast<uint32_t>(std::abs(static_cast<int32_t>(w)))) <= 2;
  });
  return result;
}

ShiftRows shift_rows(const int16_t* weights, int64_t channels, int64_t k) {
  ShiftRows rows;
  rows.begin.push_back(0);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < k; ++i) {
      const int32_t w = weights[c * k + i];
      for (uint32_t rest = static_cast<uint32_t>(std::abs(w)); rest != 0; rest &= rest - 1)
        rows.terms.push_back({static_cast<int32_t>(i), static_cast<int8_t>(std::countr_zero(rest)), w < 0});
    }
    rows.begin.push_back(rows.terms.size());
  }
  return rows;
}

void accumulate_shifts(const ShiftRows& rows, int64_t first, int64_t count, const int16_t* x, int64_t* acc) {
  for (int64_t c = 0; c < count; ++c) {
    const size_t begin = rows.begin[static_cast<size_t>(first + c)],
                 end = rows.begin[static_cast<size_t>(first + c) + 1];
    int64_t sum = 0;
    for (size_t t = begin; t < end; ++t) {
      const ShiftTerm& term = rows.terms[t];
      const int64_t shifted = static_cast<int64_t>(x[term.k]) << term.shift;
      sum += term.negative ? -shifted : shifted;
    }
    acc[c] = sum;
  }
}

}  // namespace lowbit
