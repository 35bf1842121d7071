// logN and logN-M: magnitudes are powers of base 2^(1/M) below the scale, and an exact zero:
//   level = sign * scale * 2^(-(last - |code|) / M)
// M = 1 multiplies by shifts. Paper: Miyashita, Lee, Murmann, arXiv:1603.01025 (base 2 and base sqrt 2).
#include <fmt/format.h>

#include <algorithm>

#include "lowbit/numbers/elementary.h"
#include "lowbit/numbers/names.h"
#include "lowbit/numbers/signed_magnitude.h"

namespace lowbit {
namespace {

constexpr int kMostDivision = 64;

double power_below_one(const NumberFormat& format, std::span<const float>, int index, int last) {
  if (index == 0) return 0;
  return portable_exp2(-static_cast<double>(last - index) / std::max(format.option, 1));
}

constexpr MagnitudeCurve kCurve{.at = power_below_one};

std::optional<NumberFormat> parse_log(std::string_view tail) {
  const std::optional<int> bits = take_number(tail, 2, 8);
  if (!bits) return std::nullopt;
  NumberFormat format{.bits = *bits, .option = 1};
  if (tail.empty()) return format;
  if (tail[0] != '-') return std::nullopt;
  tail.remove_prefix(1);
  const std::optional<int> division = take_number(tail, 1, kMostDivision);
  if (!division || !tail.empty()) return std::nullopt;
  format.option = *division;
  return format;
}

std::string log_name(const NumberFormat& format) {
  return format.option <= 1 ? name_with_bits(format) : fmt::format("{}-{}", name_with_bits(format), format.option);
}

}  // namespace

extern const NumberSystem log_system;
constinit const NumberSystem log_system = magnitude_system<kCurve>({
    .name = "log",
    .summary = "sign and power of 2, logN-M: of 2^(1/M); exact zero, fitted scale",
    .paper = "Miyashita et al. 2016, arXiv:1603.01025",
    .min_bits = 2,
    .max_bits = 8,
    .parse = parse_log,
    .format_name = log_name,
    .codes = symmetric_codes,
});

}  // namespace lowbit
