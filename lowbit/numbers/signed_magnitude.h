// signed_magnitude.h: systems that keep the sign apart and have one curve of magnitudes: log, pot2, exp, mulaw, power,
// piecewise. With `last` steps on a side,
//   level(code) = sign(code) * scale * curve(|code| / last),   curve(0) = 0, curve rising to 1
// so 0 is exact and levels rise with the codes. Data without negative values gets all codes on one side.
//   codes       -(2^(N-1) - 1) ... 2^(N-1) - 1
//   parameters  {scale, one_sided, shape ...}: one_sided = 1 puts step 0 on the lowest code and last = 2^N - 2 on the
//               highest; otherwise step 0 is code 0 and last = 2^(N-1) - 1
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "lowbit/numbers/fit_data.h"
#include "lowbit/numbers/fits.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit {

/// What a system of this family says of itself.
struct MagnitudeCurve {
  /// The magnitude of step 0 <= index <= last, last >= 1, in units of the scale: 0 at 0, 1 at last, never falling.
  double (*at)(const NumberFormat& format, std::span<const float> shape, int index, int last);
  /// Number of fitted shape parameters, and where the search for each looks.
  int shape_count = 0;
  struct Interval {
    float low, high;
  };
  std::array<Interval, 2> shapes{};
  /// False for shapes that do not rise (the search skips them). Null: all are good.
  bool (*valid)(std::span<const float> shape) = nullptr;
};

int magnitude_param_count(const MagnitudeCurve& curve);
int magnitude_param_bits(const MagnitudeCurve& curve);
double magnitude_level(const MagnitudeCurve& curve, const NumberFormat& format, const float* params, int32_t code);
/// minmax and range: scale reaches over the range and the shape is the one of least error; mse: both of least error, by
/// a search over a grid of shapes, then ever smaller steps.
void fit_magnitudes(const MagnitudeCurve& curve, const NumberFormat& format, const FitData& data,
                    const FitOptions& options, float* params);

/// The row of a system of this family: its names and codes, completed.
template <const MagnitudeCurve& Curve>
constexpr NumberSystem magnitude_system(NumberSystem system) {
  system.param_count = [](const NumberFormat&) { return magnitude_param_count(Curve); };
  system.param_bits = [](const NumberFormat&) { return magnitude_param_bits(Curve); };
  system.level = [](const NumberFormat& format, const float* params, int32_t code) {
    return magnitude_level(Curve, format, params, code);
  };
  system.fit = [](const NumberFormat& format, std::span<const float> x, std::span<const float> importance,
                  const FitOptions& options, float* params) {
    if constexpr (kFits) fit_magnitudes(Curve, format, {x, importance}, options, params);
  };
  return system;
}

}  // namespace lowbit
