// The exact search for a scale against a scan that is much denser than its steps, over groups of every kind.
#include "lowbit/numbers/exact_scale.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/random.h"

namespace lowbit {
namespace {

constexpr int kScales = 4000;

std::vector<double> units_of(const char* name) {
  const float one[] = {1, 0, 1, 1};
  return unit_levels(parse_number_format(name), one);
}

std::vector<float> group(uint64_t seed) {
  Random random(seed);
  std::vector<float> x(1 + static_cast<size_t>(random.below(64)));
  for (float& value : x) {
    const double tail = seed % 3 == 0 ? std::exp(2 * random.normal()) : 1;
    value = static_cast<float>(random.normal() * tail + (seed % 5 == 0 ? 1 : 0));
    if (seed % 4 == 1) value = std::abs(value);
    if (seed % 4 == 2 && random.below(3) == 0) value = 0;
    if (seed % 7 == 3) value = std::round(4 * value);  // equal values and ties
  }
  return x;
}

/// The least error over many scales, and over those where least squares leads from each.
double best_of_a_scan(std::span<const double> units, const WeightedPoints& points, double largest) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 1; i <= kScales; ++i) best = std::min(best, scale_error(units, points, largest * i / kScales));
  return best;
}

TEST(ExactScale, IsNoWorseThanADenseScan) {
  for (const char* name : {"fp4-e2m1", "nf3", "nf4", "log4", "pot2-4", "ternary", "mulaw3"}) {
    const std::vector<double> units = units_of(name);
    for (uint64_t seed = 0; seed < 60; ++seed) {
      const std::vector<float> x = group(seed);
      std::vector<float> importance;
      Random random(seed + 100);
      if (seed % 2 == 1)
        for (size_t i = 0; i < x.size(); ++i) importance.push_back(static_cast<float>(random.uniform()));
      const WeightedPoints points({x, importance});
      const double full = static_cast<double>(covering_scale(units, range_to_cover(x, {})));
      const double scanned = best_of_a_scan(units, points, 3 * full);
      const std::optional<double> scale = exact_scale(units, points);
      const double total = points.sums(0, points.size()).wxx;
      const double found = scale ? scale_error(units, points, *scale) : total;
      EXPECT_LE(found, scanned + 1e-12 * total) << name << " seed " << seed;
    }
  }
}

TEST(ExactScale, MeetsPointsThatAreMultiplesOfTheLevels) {
  const std::vector<double> units = units_of("fp4-e2m1");
  for (const float scale : {0x1p-100f, 0.37f, 1e30f}) {
    std::vector<float> x;
    for (const double unit : {-6.0, -0.5, 0.0, 1.5, 2.0, 3.0}) x.push_back(static_cast<float>(unit) * scale);
    const std::optional<double> found = exact_scale(units, WeightedPoints({x, {}}));
    ASSERT_TRUE(found);
    EXPECT_NEAR(*found / static_cast<double>(scale), 1, 1e-6);
  }
}

TEST(ExactScale, HasNoScaleForNothingOrForTheOtherSide) {
  const std::vector<double> one_sided = {0, 0.5, 1};
  const std::vector<float> negative = {-1, -3}, zeros = {0, 0};
  EXPECT_FALSE(exact_scale(one_sided, WeightedPoints({negative, {}})));
  EXPECT_FALSE(exact_scale(one_sided, WeightedPoints({zeros, {}})));
  EXPECT_FALSE(exact_scale(one_sided, WeightedPoints(FitData{})));
}

}  // namespace
}  // namespace lowbit
