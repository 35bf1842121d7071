#include "lowbit/search/choices.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>

namespace lowbit::search {
namespace {

using Layers = std::vector<std::vector<Choice>>;

/// Small whole numbers, so that sums are exact and ties occur.
Layers random_layers(bool timed) {
  Layers layers(*rc::gen::inRange<size_t>(1, 6));
  for (auto& layer : layers) {
    layer.resize(*rc::gen::inRange<size_t>(1, 5));
    for (Choice& c : layer)
      c = {static_cast<double>(*rc::gen::inRange(0, 20)), timed ? static_cast<double>(*rc::gen::inRange(0, 20)) : 0.0,
           static_cast<double>(*rc::gen::inRange(0, 20))};
  }
  return layers;
}

/// Totals of every assignment.
std::vector<Choice> all_totals(const Layers& layers) {
  std::vector<Choice> totals = {{}};
  for (const auto& layer : layers) {
    std::vector<Choice> next;
    for (const Choice& sum : totals)
      for (const Choice& c : layer) next.push_back({sum.bytes + c.bytes, sum.ms + c.ms, sum.loss + c.loss});
    totals = std::move(next);
  }
  return totals;
}

bool beats(const Choice& a, const Choice& b) {
  return a.bytes <= b.bytes && a.ms <= b.ms && a.loss <= b.loss &&
         (a.bytes < b.bytes || a.ms < b.ms || a.loss < b.loss);
}

double least_loss(const std::vector<Choice>& totals, const Limits& limits) {
  double least = std::numeric_limits<double>::infinity();
  for (const Choice& t : totals)
    if (t.bytes <= limits.bytes && t.ms <= limits.ms) least = std::min(least, t.loss);
  return least;
}

double least_loss(const std::vector<Assignment>& front) {
  double least = std::numeric_limits<double>::infinity();
  for (const Assignment& a : front) least = std::min(least, a.total.loss);
  return least;
}

TEST(ParetoFront, HoldsExactlyTheAssignmentsThatNothingBeats) {
  EXPECT_TRUE(rc::check([] {
    const Layers layers = random_layers(*rc::gen::arbitrary<bool>());
    const std::vector<Choice> totals = all_totals(layers);
    const std::vector<Assignment> front = pareto_front(layers);
    for (const Assignment& a : front) {
      Choice sum;
      for (size_t l = 0; l < layers.size(); ++l) {
        const Choice& c = layers[l].at(a.chosen[l]);
        sum = {sum.bytes + c.bytes, sum.ms + c.ms, sum.loss + c.loss};
      }
      RC_ASSERT(sum.bytes == a.total.bytes && sum.ms == a.total.ms && sum.loss == a.total.loss);
      for (const Choice& other : totals) RC_ASSERT(!beats(other, a.total));
    }
    for (const Choice& total : totals)  // each is matched or beaten by one of the front
      RC_ASSERT(std::any_of(front.begin(), front.end(), [&](const Assignment& a) {
        return a.total.bytes <= total.bytes && a.total.ms <= total.ms && a.total.loss <= total.loss;
      }));
  }));
}

TEST(ParetoFront, FindsTheLeastLossWithinLimits) {
  EXPECT_TRUE(rc::check([] {
    const Layers layers = random_layers(/*timed=*/true);
    const Limits limits{static_cast<double>(*rc::gen::inRange(0, 60)), static_cast<double>(*rc::gen::inRange(0, 60))};
    const double exact = least_loss(all_totals(layers), limits);
    const std::vector<Assignment> front = pareto_front(layers, limits);
    RC_ASSERT(front.empty() == std::isinf(exact));
    for (const Assignment& a : front) RC_ASSERT(a.total.bytes <= limits.bytes && a.total.ms <= limits.ms);
    if (!front.empty()) RC_ASSERT(least_loss(front) == exact);
  }));
}

TEST(ParetoFront, StaysNearTheOptimumWhenItKeepsFewAssignments) {
  EXPECT_TRUE(rc::check([] {
    const Layers layers = random_layers(/*timed=*/false);
    Limits limits;
    limits.bytes = static_cast<double>(*rc::gen::inRange(20, 80));
    const std::vector<Assignment> exact = pareto_front(layers, limits), few = pareto_front(layers, limits, 8);
    RC_ASSERT(exact.empty() == few.empty());
    RC_ASSERT(few.size() <= 10u);
    if (!exact.empty()) RC_ASSERT(least_loss(few) >= least_loss(exact));
  }));
}

TEST(LowerBound, IsNeverAboveTheOptimumAndReachesItWithoutLimits) {
  EXPECT_TRUE(rc::check([] {
    const Layers layers = random_layers(/*timed=*/true);
    const Limits limits{static_cast<double>(*rc::gen::inRange(0, 60)), static_cast<double>(*rc::gen::inRange(0, 60))};
    const double exact = least_loss(all_totals(layers), limits);
    RC_ASSERT(lower_bound(layers, limits) <= exact + 1e-9);
    RC_ASSERT(std::abs(lower_bound(layers, {}) - least_loss(all_totals(layers), {})) < 1e-9);
  }));
}

TEST(LowerBound, ReachesTheOptimumWhereLossesFallConvexly) {
  // Ten equal layers, each a unit of loss less for each byte: the bound is tight at every whole number of bytes.
  const Layers layers(10, {{0, 0, 2}, {1, 0, 1}, {2, 0, 0}});
  for (double bytes = 0; bytes <= 20; ++bytes) {
    Limits limits;
    limits.bytes = bytes;
    EXPECT_NEAR(lower_bound(layers, limits), 20 - bytes, 1e-6);
    EXPECT_EQ(least_loss(pareto_front(layers, limits)), 20 - bytes);
  }
}

TEST(ParetoFront, CopesWithManyLayersInBoundedMemory) {
  Layers layers(200);
  for (size_t l = 0; l < layers.size(); ++l)
    for (int bits = 2; bits <= 8; ++bits) {
      const double weights = 100 + static_cast<double>(l * l % 977);
      layers[l].push_back({weights * bits / 8, 0, weights * static_cast<double>(1 + l % 7) * std::pow(4.0, -bits)});
    }
  Limits limits;
  for (const auto& layer : layers) limits.bytes = (std::isinf(limits.bytes) ? 0 : limits.bytes) + layer[2].bytes;
  const double found = least_loss(pareto_front(layers, limits, 1 << 11));
  const double bound = lower_bound(layers, limits);
  EXPECT_GE(found, bound);
  EXPECT_LT(found, 1.02 * bound);
}

}  // namespace
}  // namespace lowbit::search
