#include "lowbit/numbers/linear.h"
#include "lowbit/numbers/fits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/numbers/fit_data.h"
#include "lowbit/numbers/linear_mse.h"
#include "lowbit/numbers/names.h"
#include "lowbit/numbers/vector_loops.h"

namespace lowbit {
namespace {

constexpr int kMostBits = 16;
constexpr int kMixed = 1;  ///< NumberFormat::option: each group has a fitted zero point only if that is worth it
constexpr double kWorthIt = 0.98;  ///< of the error with a fixed zero point, which arithmetic gets for nothing

/// Takes `suffix` off the end of the front of `tail`; true if it was there.
bool take(std::string_view& tail, std::string_view suffix) {
  if (!tail.starts_with(suffix)) return false;
  tail.remove_prefix(suffix.size());
  return true;
}

/// "8" narrow symmetric, "8-full" symmetric with -2^(N-1), "8-asym" and "8-asym-narrow" with a fitted zero point,
/// "8-mixed" one or the other, group by group. One bit has no symmetric form with a zero: "1" is asymmetric.
std::optional<NumberFormat> parse_int(std::string_view tail) {
  const std::optional<int> bits = take_number(tail, 1, kMostBits);
  if (!bits) return std::nullopt;
  NumberFormat format{.bits = *bits};
  if (*bits == 1) {
    format.asymmetric = true;
  } else {
    format.option = take(tail, "-mixed") ? kMixed : 0;
    format.asymmetric = format.option == kMixed || take(tail, "-asym");
    if (format.option != kMixed) format.narrow = format.asymmetric ? take(tail, "-narrow") : !take(tail, "-full");
  }
  return tail.empty() ? std::optional(format) : std::nullopt;
}

std::string int_name(const NumberFormat& format) {
  std::string name = name_with_bits(format);
  if (format.bits == 1) return name;
  if (format.option == kMixed) return name + "-mixed";
  if (format.asymmetric) return name + (format.narrow ? "-asym-narrow" : "-asym");
  return format.narrow ? name : name + "-full";
}

/// "8" with a fitted zero point, "8-sym" with a fixed one, "8-mixed" one or the other, group by group.
std::optional<NumberFormat> parse_uint(std::string_view tail) {
  const std::optional<int> bits = take_number(tail, 1, kMostBits);
  if (!bits) return std::nullopt;
  NumberFormat format{.bits = *bits};
  format.option = take(tail, "-mixed") ? kMixed : 0;
  format.asymmetric = format.option == kMixed || !take(tail, "-sym");
  return tail.empty() ? std::optional(format) : std::nullopt;
}

std::string uint_name(const NumberFormat& format) {
  if (format.option == kMixed) return name_with_bits(format) + "-mixed";
  return format.asymmetric ? name_with_bits(format) : name_with_bits(format) + "-sym";
}

CodeRange int_codes(const NumberFormat& format) {
  if (format.narrow && format.bits > 1) return symmetric_codes(format);
  return {-(1 << (format.bits - 1)), (1 << (format.bits - 1)) - 1};
}

LinearParams from_floats(const float* params, CodeRange range) {
  const float zero_point = std::isnan(params[1]) ? 0 : params[1];
  // Clamped before the conversion, which is undefined outside int32.
  const float limited = std::clamp(zero_point, static_cast<float>(range.min), static_cast<float>(range.max));
  return {params[0], static_cast<int32_t>(limited)};
}

/// Lowers the scale until both ends of the code range have finite values.
float scale_within_floats(float scale, LinearParams params, CodeRange range) {
  const double steps =
      std::max(static_cast<double>(range.max) - params.zero_point, static_cast<double>(params.zero_point) - range.min);
  while (steps * static_cast<double>(scale) > static_cast<double>(std::numeric_limits<float>::max()))
    scale = std::nextafter(std::min(scale, static_cast<float>(std::numeric_limits<float>::max() / steps)), 0.0f);
  return scale;
}

LinearParams fixed_zero_params(CodeRange range, float low, float high) {
  LinearParams params;
  if (range.min == 0 && low < 0) params.zero_point = range.max / 2 + 1;
  const int32_t above = range.max - params.zero_point;
  // One signed bit has the codes -1 and 0 only: what is below zero sets its scale.
  const double steps = above > 0 ? above : params.zero_point - range.min;
  params.scale = usable_scale(std::max(-static_cast<double>(low), static_cast<double>(high)) / steps);
  return params;
}

LinearParams fitted_zero_params(CodeRange range, float low, float high) {
  const double width = static_cast<double>(high) - static_cast<double>(low);
  if (width == 0) return {1, std::clamp(0, range.min, range.max)};
  LinearParams params;
  params.scale = usable_scale(width / static_cast<double>(range.max - range.min));
  const float zero_point = std::nearbyint(static_cast<float>(range.min) - low / params.scale);
  params.zero_point =
      static_cast<int32_t>(std::clamp(zero_point, static_cast<float>(range.min), static_cast<float>(range.max)));
  return params;
}

LinearParams fit_one(const NumberFormat& format, const FitData& data, const FitOptions& options) {
  const ValueRange range = range_to_cover(data.x, options);
  if (options.rule == FitRule::mse) return linear_mse_params(format, range, data);
  return linear_params(format, range.low, range.high);
}

double error_of(const NumberFormat& format, LinearParams found, const FitData& data) {
  const float params[] = {found.scale, static_cast<float>(found.zero_point)};
  return squared_error(format, params, data);
}

void fit(const NumberFormat& format, std::span<const float> x, std::span<const float> importance,
         const FitOptions& options, float* params) {
  const FitData data{x, importance};
  LinearParams found = fit_one(format, data, options);
  if (format.option == kMixed) {
    NumberFormat fixed = format;
    fixed.asymmetric = false;
    const LinearParams symmetric = fit_one(fixed, data, options);
    if (!(error_of(format, found, data) < kWorthIt * error_of(format, symmetric, data))) found = symmetric;
  }
  params[0] = found.scale;
  params[1] = static_cast<float>(found.zero_point);
}

double level(const NumberFormat& format, const float* params, int32_t code) {
  const LinearParams p = from_floats(params, format.system->codes(format));
  return static_cast<double>(code - p.zero_point) * static_cast<double>(p.scale);
}

void encode_values(const NumberFormat& format, const float* params, const float* x, int64_t n, int32_t* codes) {
  const CodeRange range = format.system->codes(format);
  linear_encode_loop(from_floats(params, range), range, x, n, codes);
}

void decode_codes(const NumberFormat& format, const float* params, const int32_t* codes, int64_t n, float* y) {
  linear_decode_loop(from_floats(params, format.system->codes(format)), codes, n, y);
}

int two_params(const NumberFormat&) { return 2; }
int scale_and_zero_bits(const NumberFormat& format) { return format.asymmetric ? 32 + format.bits : 32; }

/// What signed and unsigned linear systems have in common.
constexpr NumberSystem row(std::string_view name, std::string_view summary) {
  return {.name = name,
          .summary = summary,
          .paper = "Jacob et al., CVPR 2018, arXiv:1712.05877",
          .min_bits = 1,
          .max_bits = kMostBits,
          .param_count = two_params,
          .fit = kFits ? fit : nullptr,
          .level = level,
          .encode = encode_values,
          .decode = decode_codes,
          .param_bits = scale_and_zero_bits};
}

constexpr NumberSystem signed_row() {
  NumberSystem system = row("int", "linear, signed: scale * (code - zero_point); -full, -asym, -mixed");
  system.parse = parse_int;
  system.format_name = int_name;
  system.codes = int_codes;
  return system;
}

constexpr NumberSystem unsigned_row() {
  NumberSystem system =
      row("uint", "linear, unsigned: scale * (code - zero_point) with a fitted zero point; -sym, -mixed");
  system.parse = parse_uint;
  system.format_name = uint_name;
  system.codes = unsigned_codes;
  return system;
}

}  // namespace

bool is_linear(const NumberFormat& format) {
  if (!format.system || format.standardized) return false;
  return format.system->name == "int" || format.system->name == "uint";
}

LinearParams linear_params(const NumberFormat& format, float low, float high) {
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  const CodeRange range = format.system->codes(format);
  LinearParams params = format.asymmetric ? fitted_zero_params(range, low, high) : fixed_zero_params(range, low, high);
  params.scale = scale_within_floats(params.scale, params, range);
  return params;
}

int32_t linear_encode(float x, LinearParams params, CodeRange range) {
  const float ratio = x / params.scale;
  if (std::isnan(ratio)) return params.zero_point;
  const float low = static_cast<float>(range.min - params.zero_point);
  const float high = static_cast<float>(range.max - params.zero_point);
  // The bounds are whole numbers, so clamping first gives the same code and keeps the conversion defined.
  return static_cast<int32_t>(std::nearbyint(std::clamp(ratio, low, high))) + params.zero_point;
}

extern const NumberSystem int_system, uint_system;
constinit const NumberSystem int_system = signed_row();
constinit const NumberSystem uint_system = unsigned_row();

}  // namespace lowbit
