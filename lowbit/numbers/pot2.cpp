// pot2-N: magnitudes that are sums of two powers of two, so a product is two shifts and an addition:
//   magnitude = p + q,  p in {0, 2^0, 2^-2, 2^-4 ...},  q in {0, 2^-1, 2^-3, 2^-5 ...}
// with half the magnitude bits (rounded up) for p and the rest for q; even and odd exponents make every sum different.
// Codes count the sums in ascending order. Paper: Li, Dong, Wang, "Additive Powers-of-Two Quantization", ICLR 2020,
// arXiv:1909.13144, section 2.2 (there normalised to 1; so here).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "lowbit/numbers/names.h"
#include "lowbit/numbers/signed_magnitude.h"

namespace lowbit {
namespace {

constexpr int kMostBits = 8;

/// 0 and 2^first, 2^(first - 2) ...: 2^bits terms.
std::vector<double> terms(int bits, int first) {
  std::vector<double> result = {0};
  for (int k = 0; k < (1 << bits) - 1; ++k) result.push_back(std::ldexp(1.0, first - 2 * k));
  return result;
}

/// All sums for this many magnitude bits, ascending, the largest divided to 1.
std::vector<double> sums(int magnitude_bits) {
  std::vector<double> result;
  for (double p : terms((magnitude_bits + 1) / 2, 0))
    for (double q : terms(magnitude_bits / 2, -1)) result.push_back(p + q);
  std::sort(result.begin(), result.end());
  const double largest = result.back();
  for (double& value : result) value /= largest;
  return result;
}

double sum_of_two(const NumberFormat& format, std::span<const float>, int index, int last) {
  static const std::array<std::vector<double>, kMostBits + 1> by_bits = [] {
    std::array<std::vector<double>, kMostBits + 1> all;
    for (int bits = 1; bits <= kMostBits; ++bits) all[static_cast<size_t>(bits)] = sums(bits);
    return all;
  }();
  const bool one_sided = last >= 1 << (format.bits - 1);
  const std::vector<double>& table = by_bits[static_cast<size_t>(one_sided ? format.bits : format.bits - 1)];
  // One-sided formats have one sum more than steps: the smallest is left out.
  const size_t at = static_cast<size_t>(index) + (one_sided && index > 0 ? 1 : 0);
  return table[std::min(at, table.size() - 1)];
}

constexpr MagnitudeCurve kCurve{.at = sum_of_two};

std::optional<NumberFormat> parse_pot2(std::string_view tail) {
  if (!tail.starts_with('-')) return std::nullopt;
  return parse_bits(tail.substr(1), 2, kMostBits);
}

std::string pot2_name(const NumberFormat& format) { return fmt::format("pot2-{}", format.bits); }

}  // namespace

extern const NumberSystem pot2_system;
constinit const NumberSystem pot2_system = magnitude_system<kCurve>({
    .name = "pot2",
    .summary = "sign and a sum of two powers of two; exact zero, fitted scale",
    .paper = "Li et al., ICLR 2020, arXiv:1909.13144",
    .min_bits = 2,
    .max_bits = kMostBits,
    .parse = parse_pot2,
    .format_name = pot2_name,
    .codes = symmetric_codes,
});

}  // namespace lowbit
