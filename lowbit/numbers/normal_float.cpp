// nfN: levels at quantiles of the normal distribution, scaled so that the ends are -1 and 1 (N = 4 is NF4):
//   2^(N-1) values q((1 - d) ... 1/2) on the positive side, 2^(N-1) - 1 on the negative one and an exact zero,
//   d = (1 / 2^(N+1) + 1 / (2^(N+1) - 2)) / 2
// Paper: Dettmers et al., "QLoRA", NeurIPS 2023, arXiv:2305.14314, section 3; computed here, not copied.
#include <array>
#include <vector>

#include "lowbit/numbers/elementary.h"
#include "lowbit/numbers/fits.h"
#include "lowbit/numbers/names.h"
#include "lowbit/numbers/scale_fit.h"

namespace lowbit {
namespace {

constexpr int kMostBits = 8;

std::vector<double> quantile_levels(int bits) {
  const double count = 1 << bits;
  const double start = 1 - 0.5 * (1 / (2 * count) + 1 / (2 * (count - 1)));
  const int half = 1 << (bits - 1);
  std::vector<double> levels;
  // Evenly spaced probabilities from `start` down to, without, 1/2.
  const auto quantile = [&](int k, int steps) {
    return normal_quantile(start + (0.5 - start) * static_cast<double>(k) / static_cast<double>(steps));
  };
  for (int k = 0; k < half - 1; ++k) levels.push_back(-quantile(k, half - 1));
  levels.push_back(0);
  for (int k = half - 1; k >= 0; --k) levels.push_back(quantile(k, half));
  const double largest = levels.back();
  for (double& level : levels) level /= largest;
  return levels;
}

const std::vector<double>& units(const NumberFormat& format) {
  static const std::array<std::vector<double>, kMostBits + 1> by_bits = [] {
    std::array<std::vector<double>, kMostBits + 1> all;
    for (int bits = 2; bits <= kMostBits; ++bits) all[static_cast<size_t>(bits)] = quantile_levels(bits);
    return all;
  }();
  return by_bits[static_cast<size_t>(format.bits)];
}

void fit(const NumberFormat& format, std::span<const float> x, std::span<const float> importance,
         const FitOptions& options, float* params) {
  params[0] = fitted_scale(units(format), {x, importance}, options);
}

double level(const NumberFormat& format, const float* params, int32_t code) {
  return static_cast<double>(params[0]) * units(format)[static_cast<size_t>(code)];
}

int one_param(const NumberFormat&) { return 1; }

}  // namespace

extern const NumberSystem nf_system;
constinit const NumberSystem nf_system = {
    .name = "nf",
    .summary = "quantiles of the normal distribution (nf4); exact zero, fitted scale",
    .paper = "Dettmers et al., NeurIPS 2023, arXiv:2305.14314",
    .min_bits = 2,
    .max_bits = kMostBits,
    .parse = [](std::string_view tail) { return parse_bits(tail, 2, kMostBits); },
    .format_name = name_with_bits,
    .codes = unsigned_codes,
    .param_count = one_param,
    .fit = kFits ? fit : nullptr,
    .level = level,
};

}  // namespace lowbit
