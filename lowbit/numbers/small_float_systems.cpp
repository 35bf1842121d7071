// Floats of 4, 6 and 8 bits with a scale: level = scale * value of the bit pattern; a code is the bit pattern.
//   fp8-e4m3 (finite only, as ONNX's FLOAT8E4M3FN), fp8-e5m2, fp6-e3m2, fp6-e2m3, fp4-e2m1: any float as scale
//   mxfp8-e4m3, mxfp6-e3m2, mxfp4: 32 values share a power of two (OCP Microscaling Formats v1.0). The standard's own
//     conversion takes 2^(floor(log2 max|x|) - largest exponent), which may clip; here minmax covers every value and
//     mse takes the better power.
//   nvfp4: 16 values share a scale with the 4 significant bits of fp8-e4m3. The tensor-wide float that NVIDIA's form
//   puts
//     on top is left to the file writer: any power of two serves, since it changes no significant bit.
// Codes of infinities and NaN exist but are never chosen. Papers: Micikevicius et al., arXiv:2209.05433 (fp8); Rouhani
// et al., arXiv:2310.10537 (MX).
#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/numbers/fits.h"
#include "lowbit/numbers/names.h"
#include "lowbit/numbers/scale_fit.h"
#include "lowbit/numbers/vector_loops.h"

namespace lowbit {
namespace {

constexpr int kAnyFloat = 24;

struct SmallFloat {
  int exponent_bits, mantissa_bits, bias;
  int largest;            ///< bit pattern of the largest finite magnitude
  int infinity = -1;      ///< bit pattern of infinity, if there is one
  int scale_bits;         ///< significant bits of the scale: 1 a power of two, 4 an fp8-e4m3, 24 any float
  int stored_scale_bits;  ///< bits of the scale in a file
  constexpr int bits() const { return 1 + exponent_bits + mantissa_bits; }
};

double value_of(const SmallFloat& f, int32_t code) {
  const int magnitude = code & ((1 << (f.bits() - 1)) - 1);
  const bool negative = (code >> (f.bits() - 1)) & 1;
  if (magnitude > f.largest) {
    if (magnitude != f.infinity) return std::numeric_limits<double>::quiet_NaN();
    return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  }
  const int exponent = magnitude >> f.mantissa_bits, mantissa = magnitude & ((1 << f.mantissa_bits) - 1);
  // Exponent 0 has no hidden bit and the exponent of 1.
  const int significand = exponent > 0 ? mantissa + (1 << f.mantissa_bits) : mantissa;
  const double value = std::ldexp(significand, std::max(exponent, 1) - f.bias - f.mantissa_bits);
  return negative ? -value : value;
}

/// The nearest value with this many significant bits that is not below (up) or not above.
double with_significant_bits(double value, int bits, bool up) {
  int exponent = 0;
  const double scaled = std::ldexp(std::frexp(value, &exponent), bits);
  return std::ldexp(up ? std::ceil(scaled) : std::floor(scaled), exponent - bits);
}

/// The best of the four scales of few significant bits around the best of all.
double best_rounded_scale(std::span<const double> units, const WeightedPoints& points, double full, int bits) {
  const double half_gap = std::ldexp(1.0, -bits - 1);
  const double free = best_scale(units, points, full).scale;
  double candidate = with_significant_bits(free, bits, /*up=*/true);
  candidate = with_significant_bits(candidate * (1 + half_gap), bits, /*up=*/true);
  ScaleFit best{std::numeric_limits<double>::infinity(), candidate};
  for (int k = 0; k < 4; ++k) {
    const double error = scale_error(units, points, candidate);
    if (error < best.error) best = {error, candidate};
    candidate = with_significant_bits(candidate * (1 - half_gap), bits, /*up=*/false);
  }
  return best.scale;
}

void fit_small_float(const SmallFloat& f, const NumberFormat& format, const FitData& data, const FitOptions& options,
                     float* params) {
  const float one = 1;
  const std::vector<double> units = unit_levels(format, &one);
  if (f.scale_bits == kAnyFloat) {
    params[0] = fitted_scale(units, data, options);
    return;
  }
  const double full = covering_scale(units, range_to_cover(data.x, options));
  const WeightedPoints points(options.rule == FitRule::mse ? data : FitData{});
  const double scale = points.empty() ? with_significant_bits(full, f.scale_bits, /*up=*/true)
                                      : best_rounded_scale(units, points, full, f.scale_bits);
  params[0] = usable_scale(scale);
}

template <const SmallFloat& F>
constexpr NumberSystem row(std::string_view name, std::string_view summary, std::string_view paper,
                           std::string_view granularity = {}) {
  NumberSystem system{.name = name, .summary = summary, .paper = paper, .min_bits = F.bits(), .max_bits = F.bits()};
  system.parse = [](std::string_view tail) {
    return tail.empty() ? std::optional(NumberFormat{.bits = F.bits()}) : std::nullopt;
  };
  system.format_name = [](const NumberFormat& format) { return std::string(format.system->name); };
  system.codes = unsigned_codes;
  system.param_count = [](const NumberFormat&) { return 1; };
  system.fit = [](const NumberFormat& format, std::span<const float> x, std::span<const float> importance,
                  const FitOptions& options, float* params) {
    if constexpr (kFits) fit_small_float(F, format, {x, importance}, options, params);
  };
  system.level = [](const NumberFormat&, const float* params, int32_t code) {
    return static_cast<double>(params[0]) * value_of(F, code);
  };
  system.encode = [](const NumberFormat&, const float* params, const float* x, int64_t n, int32_t* codes) {
    constexpr int kLowestExponent = 1 - F.bias;
    static const SmallFloatShape shape{F.mantissa_bits, kLowestExponent, F.bits() - 1,
                                       static_cast<float>(value_of(F, F.largest)), /*negative_zero=*/false};
    small_float_encode_loop(shape, params[0], x, n, codes);
  };
  system.default_granularity = granularity;
  system.param_bits = [](const NumberFormat&) { return F.stored_scale_bits; };
  return system;
}

constexpr SmallFloat kE4m3{4, 3, 7, 0x7e, -1, kAnyFloat, 32};
constexpr SmallFloat kE5m2{5, 2, 15, 0x7b, 0x7c, kAnyFloat, 32};
constexpr SmallFloat kE3m2{3, 2, 3, 0x1f, -1, kAnyFloat, 32};
constexpr SmallFloat kE2m3{2, 3, 1, 0x1f, -1, kAnyFloat, 32};
constexpr SmallFloat kE2m1{2, 1, 1, 0x07, -1, kAnyFloat, 32};
constexpr SmallFloat kMxE4m3{4, 3, 7, 0x7e, -1, 1, 8};
constexpr SmallFloat kMxE3m2{3, 2, 3, 0x1f, -1, 1, 8};
constexpr SmallFloat kMxE2m1{2, 1, 1, 0x07, -1, 1, 8};
constexpr SmallFloat kNvE2m1{2, 1, 1, 0x07, -1, 4, 8};

constexpr std::string_view kFp8Paper = "Micikevicius et al. 2022, arXiv:2209.05433";
constexpr std::string_view kMxPaper = "Rouhani et al. 2023, arXiv:2310.10537 (OCP MX v1.0)";

}  // namespace

extern const NumberSystem fp8_e4m3_system, fp8_e5m2_system, fp6_e3m2_system, fp6_e2m3_system, fp4_e2m1_system,
    mxfp8_e4m3_system, mxfp6_e3m2_system, mxfp4_system, nvfp4_system;

constinit const NumberSystem fp8_e4m3_system =
    row<kE4m3>("fp8-e4m3", "8-bit float, largest 448, with a fitted scale", kFp8Paper);
constinit const NumberSystem fp8_e5m2_system =
    row<kE5m2>("fp8-e5m2", "8-bit float, largest 57344, with a fitted scale", kFp8Paper);
constinit const NumberSystem fp6_e3m2_system =
    row<kE3m2>("fp6-e3m2", "6-bit float, largest 28, with a fitted scale", kMxPaper);
constinit const NumberSystem fp6_e2m3_system =
    row<kE2m3>("fp6-e2m3", "6-bit float, largest 7.5, with a fitted scale", kMxPaper);
constinit const NumberSystem fp4_e2m1_system =
    row<kE2m1>("fp4-e2m1", "4-bit float: 0 0.5 1 1.5 2 3 4 6, with a fitted scale", kMxPaper);
constinit const NumberSystem mxfp8_e4m3_system =
    row<kMxE4m3>("mxfp8-e4m3", "fp8-e4m3, 32 values share a power of two", kMxPaper, "group:32");
constinit const NumberSystem mxfp6_e3m2_system =
    row<kMxE3m2>("mxfp6-e3m2", "fp6-e3m2, 32 values share a power of two", kMxPaper, "group:32");
constinit const NumberSystem mxfp4_system =
    row<kMxE2m1>("mxfp4", "fp4-e2m1, 32 values share a power of two", kMxPaper, "group:32");
constinit const NumberSystem nvfp4_system =
    row<kNvE2m1>("nvfp4", "fp4-e2m1, 16 values share an fp8-e4m3 scale", "NVIDIA 2025, arXiv:2509.25149", "group:16");

}  // namespace lowbit
