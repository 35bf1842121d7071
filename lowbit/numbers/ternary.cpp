// ternary {-a, 0, +a} (codes -1, 0, 1) and binary {-a, +a} (codes 0, 1), parameter {a}. Both have exact optima, which
// every fit rule but `range` uses (there a = max(|low|, |high|)):
//   binary   a = mean|x|. Paper: Rastegari et al., "XNOR-Net", ECCV 2016, arXiv:1603.05279
//   ternary  the k largest magnitudes become +-a, a their mean; the error falls by (sum w|x|)^2 / sum w, so the best k
//   is
//            found by one walk over the sorted magnitudes. Paper: Li, Zhang, Liu, "Ternary weight networks",
//            arXiv:1605.04711, equation 5 (which approximates what is exact here).
#include <cmath>
#include <vector>

#include "lowbit/numbers/fits.h"
#include "lowbit/numbers/names.h"
#include "lowbit/numbers/weighted_points.h"

namespace lowbit {
namespace {

/// Mean of the `from`-th and all larger magnitudes.
double mean_above(const WeightedPoints& magnitudes, size_t from) {
  const WeightedPoints::Sums s = magnitudes.sums(from, magnitudes.size());
  return s.w > 0 ? s.wx / s.w : 0;
}

/// Where the magnitudes that become +-a begin.
size_t best_ternary_split(const WeightedPoints& magnitudes) {
  size_t best = 0;
  double best_gain = -1;
  for (size_t from = 0; from < magnitudes.size(); ++from) {
    const WeightedPoints::Sums s = magnitudes.sums(from, magnitudes.size());
    const double gain = s.w > 0 ? s.wx * s.wx / s.w : 0;
    if (gain > best_gain) {
      best_gain = gain;
      best = from;
    }
  }
  return best;
}

template <bool kHasZero>
void fit(const NumberFormat&, std::span<const float> x, std::span<const float> importance, const FitOptions& options,
         float* params) {
  if (options.rule == FitRule::range) {
    const ValueRange range = range_to_cover(x, options);
    params[0] = usable_scale(std::max(-static_cast<double>(range.low), static_cast<double>(range.high)));
    return;
  }
  std::vector<float> magnitudes(x.size());
  for (size_t i = 0; i < x.size(); ++i) magnitudes[i] = std::abs(x[i]);
  const WeightedPoints points({magnitudes, importance});
  const double mean = mean_above(points, kHasZero ? best_ternary_split(points) : 0);
  // Without a zero, a group of zeros is met best by the smallest scale there is.
  params[0] = kHasZero ? usable_scale(mean) : usable_scale(mean > 0 ? mean : static_cast<double>(kSmallestScale));
}

template <int kBits>
constexpr NumberSystem row(std::string_view name, std::string_view summary, std::string_view paper) {
  NumberSystem system{.name = name, .summary = summary, .paper = paper, .min_bits = kBits, .max_bits = kBits};
  system.parse = [](std::string_view tail) {
    return tail.empty() ? std::optional(NumberFormat{.bits = kBits}) : std::nullopt;
  };
  system.format_name = [](const NumberFormat& format) { return std::string(format.system->name); };
  system.codes = [](const NumberFormat&) { return kBits == 1 ? CodeRange{0, 1} : CodeRange{-1, 1}; };
  system.param_count = [](const NumberFormat&) { return 1; };
  system.fit = kFits ? fit<kBits != 1> : nullptr;
  system.level = [](const NumberFormat&, const float* params, int32_t code) {
    return static_cast<double>(params[0]) * (kBits == 1 ? 2 * code - 1 : code);
  };
  return system;
}

}  // namespace

extern const NumberSystem ternary_system, binary_system;
constinit const NumberSystem ternary_system =
    row<2>("ternary", "{-a, 0, +a}, the exact best a; 1.6 bits stored", "Li et al. 2016, arXiv:1605.04711");
constinit const NumberSystem binary_system =
    row<1>("binary", "{-a, +a}, a = mean |x|", "Rastegari et al., ECCV 2016, arXiv:1603.05279");

}  // namespace lowbit
