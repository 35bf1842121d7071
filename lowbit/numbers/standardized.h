// standardized.h: mean 0, variance 1 in front of any system ("std-int4"): level = mean + deviation * inner level.
// Parameters of a group: {mean, deviation, the inner system's ...}.
#pragma once

#include "lowbit/numbers/level_table.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit {

/// fit of a standardized format: mean and standard deviation (1 if it is 0) of x, then the inner fit of the
/// standardized values. FitRule::range gives the inner range in real values.
void fit_standardized(const NumberSystem& inner, const NumberFormat& format, std::span<const float> x,
                      std::span<const float> importance, const FitOptions& options, float* params);

/// A row of the table made from `Inner`: the same system, which also takes formats with `standardized` set.
template <const NumberSystem& Inner>
NumberSystem standardizable() {
  NumberSystem system = Inner;
  system.param_count = [](const NumberFormat& format) {
    return Inner.param_count(format) + (format.standardized ? 2 : 0);
  };
  system.fit = [](const NumberFormat& format, std::span<const float> x, std::span<const float> importance,
                  const FitOptions& options, float* params) {
    if (format.standardized)
      fit_standardized(Inner, format, x, importance, options, params);
    else
      Inner.fit(format, x, importance, options, params);
  };
  system.level = [](const NumberFormat& format, const float* params, int32_t code) {
    if (!format.standardized) return Inner.level(format, params, code);
    return static_cast<double>(params[0]) + static_cast<double>(params[1]) * Inner.level(format, params + 2, code);
  };
  if (Inner.vector_level)
    system.vector_level = [](const NumberFormat& format, const float* params, int32_t code, int component) {
      if (!format.standardized) return Inner.vector_level(format, params, code, component);
      return static_cast<double>(params[0]) +
             static_cast<double>(params[1]) * Inner.vector_level(format, params + 2, code, component);
    };
  if (!Inner.level) system.level = nullptr;
  system.encode = [](const NumberFormat& format, const float* params, const float* x, int64_t n, int32_t* codes) {
    encode_with(format.standardized ? nullptr : Inner.encode, format, params, x, n, codes);
  };
  system.decode = [](const NumberFormat& format, const float* params, const int32_t* codes, int64_t n, float* y) {
    decode_with(format.standardized ? nullptr : Inner.decode, format, params, codes, n, y);
  };
  system.param_bits = [](const NumberFormat& format) {
    const int inner = Inner.param_bits ? Inner.param_bits(format) : 32 * Inner.param_count(format);
    return inner + (format.standardized ? 64 : 0);
  };
  return system;
}

}  // namespace lowbit
