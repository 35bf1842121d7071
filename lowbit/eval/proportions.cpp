// Intervals and tests of shares.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/eval/metrics.h"

namespace lowbit {
namespace {

constexpr double kNormalQuantile = 1.959963984540054;  // 97.5 %

void check_same_size(size_t a, size_t b) {
  if (a != b)
    throw Error(ErrorCode::bad_argument,
                fmt::format("results of {} and of {} samples cannot be compared (use the same data)", a, b));
}

/// Two-sided p of `fewer` against the rest of n fair coin throws: min(1, 2 P(X <= fewer)).
double sign_test(int64_t fewer, int64_t n) {
  double tail = 0;
  for (int64_t k = 0; k <= fewer; ++k) {
    const double log_ways = std::lgamma(static_cast<double>(n) + 1) - std::lgamma(static_cast<double>(k) + 1) -
                            std::lgamma(static_cast<double>(n - k) + 1);
    tail += std::exp(log_ways - static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

/// Counts of pairs: both right, only a, only b, none.
struct Pairs {
  int64_t both = 0, only_a = 0, only_b = 0, none = 0;
};

/// Correlation of the two results, shrunk towards 0 where it is positive.
double corrected_phi(const Pairs& p) {
  const double both = static_cast<double>(p.both), only_a = static_cast<double>(p.only_a),
               only_b = static_cast<double>(p.only_b), none = static_cast<double>(p.none);
  const double margins = (both + only_a) * (only_b + none) * (both + only_b) * (only_a + none);
  if (margins == 0) return 0;
  const double determinant = both * none - only_a * only_b, half = (both + only_a + only_b + none) / 2;
  return (determinant > 0 ? std::max(determinant - half, 0.0) : determinant) / std::sqrt(margins);
}

Interval newcombe(const Pairs& p, int64_t n) {
  const int64_t right_a = p.both + p.only_a, right_b = p.both + p.only_b;
  const double a = static_cast<double>(right_a) / static_cast<double>(n);
  const double b = static_cast<double>(right_b) / static_cast<double>(n);
  const Interval around_a = wilson(right_a, n), around_b = wilson(right_b, n);
  const double phi = corrected_phi(p);
  const auto joined = [phi](double x, double y) { return std::sqrt(std::max(0.0, x * x - 2 * phi * x * y + y * y)); };
  return {a - b - joined(a - around_a.low, around_b.high - b), a - b + joined(b - around_b.low, around_a.high - a)};
}

}  // namespace

Interval wilson(int64_t successes, int64_t n) {
  if (n == 0) return {0, 1};
  const double count = static_cast<double>(n), share = static_cast<double>(successes) / count;
  const double z2 = kNormalQuantile * kNormalQuantile;
  const double centre = (share + z2 / (2 * count)) / (1 + z2 / count);
  const double half =
      kNormalQuantile / (1 + z2 / count) * std::sqrt(share * (1 - share) / count + z2 / (4 * count * count));
  // At the ends the formula gives 0 and 1 up to rounding.
  return {successes == 0 ? 0.0 : std::max(0.0, centre - half), successes == n ? 1.0 : std::min(1.0, centre + half)};
}

PairedComparison compare_paired(std::span<const uint8_t> correct_a, std::span<const uint8_t> correct_b) {
  check_same_size(correct_a.size(), correct_b.size());
  Pairs pairs;
  for (size_t i = 0; i < correct_a.size(); ++i) {
    const bool a = correct_a[i] != 0, b = correct_b[i] != 0;
    ++(a ? b ? pairs.both : pairs.only_a : b ? pairs.only_b : pairs.none);
  }
  const int64_t n = static_cast<int64_t>(correct_a.size());
  if (n == 0) return {0, 1, {-1, 1}};
  PairedComparison result;
  result.difference = static_cast<double>(pairs.only_a - pairs.only_b) / static_cast<double>(n);
  result.p_value = sign_test(std::min(pairs.only_a, pairs.only_b), pairs.only_a + pairs.only_b);
  result.ci95 = newcombe(pairs, n);
  return result;
}

Metric agreement(std::span<const int64_t> predictions_a, std::span<const int64_t> predictions_b) {
  check_same_size(predictions_a.size(), predictions_b.size());
  int64_t equal = 0;
  for (size_t i = 0; i < predictions_a.size(); ++i)
    equal += predictions_a[i] == predictions_b[i] && predictions_a[i] != kNoPrediction;
  const int64_t n = static_cast<int64_t>(predictions_a.size());
  return {n == 0 ? 0.0 : static_cast<double>(equal) / static_cast<double>(n), wilson(equal, n)};
}

}  // namespace lowbit
