#include "lowbit/search/search.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "lowbit/base/random.h"
#include "lowbit/search/journal.h"

namespace lowbit::search {
namespace {

const std::vector<std::string> kSystems = {"int8", "int6", "int4", "int2"};
const double kBits[] = {8, 6, 4, 2};

/// A made-up network whose true losses differ from the predicted ones by up to a third and by a factor for each system.
struct MadeUp {
  explicit MadeUp(uint64_t seed, size_t layers = 10, double samples = 1e6) {
    Random random(seed);
    const double factor[] = {1, 1.2, 2, 4};
    for (size_t l = 0; l < layers; ++l) {
      Layer layer{{"layer" + std::to_string(l)}, "Conv", kSystems, {}};
      const double weights = 500 + 20000 * random.uniform(), gain = std::exp(3 * random.uniform());
      std::vector<double> losses;
      for (size_t c = 0; c < kSystems.size(); ++c) {
        const double loss = gain * std::pow(4.0, -kBits[c]);
        layer.choices.push_back({weights * kBits[c] / 8, 1e-6 * weights * kBits[c], loss});
        losses.push_back(loss * factor[c] * (0.75 + 0.5 * random.uniform()));
      }
      problem.layers.push_back(std::move(layer));
      truth.push_back(std::move(losses));
    }
    problem.fixed = {5000, 0.1, 0};
    problem.evaluate = [this, samples](const std::vector<uint16_t>& chosen) {
      ++evaluated;
      Measured m{{}, problem.fixed.bytes, problem.fixed.ms};
      for (size_t l = 0; l < chosen.size(); ++l) {
        m.bytes += problem.layers[l].choices[chosen[l]].bytes;
        m.ms += problem.layers[l].choices[chosen[l]].ms;
        m.drop.loss += truth[l][chosen[l]];
      }
      m.drop.value = 10 * m.drop.loss;
      const double half = std::sqrt(1e4 / samples);
      m.drop.ci95 = {m.drop.value - half, m.drop.value + half};
      m.drop.samples = static_cast<int64_t>(samples);
      return m;
    };
  }
  /// The least bytes of any assignment whose true drop is within the target.
  double smallest(double most) const {
    std::vector<std::vector<Choice>> exact;
    for (size_t l = 0; l < truth.size(); ++l) {
      exact.push_back(problem.layers[l].choices);
      for (size_t c = 0; c < exact[l].size(); ++c) exact[l][c].loss = truth[l][c], exact[l][c].ms = 0;
    }
    for (const Assignment& a : pareto_front(exact))
      if (10 * a.total.loss <= most) return a.total.bytes + problem.fixed.bytes;
    return INFINITY;
  }
  Problem problem;
  std::vector<std::vector<double>> truth;
  int evaluated = 0;
};

TEST(Search, FindsANearlySmallestNetworkThatKeepsTheDropWithFewEvaluations) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    MadeUp network(seed);
    network.problem.target.max_drop = 1.0;
    const Outcome outcome = run_search(network.problem);
    const Measured& best = outcome.trials[outcome.best].measured;
    ASSERT_LE(best.drop.ci95.high, 1.0) << seed;
    // The half width of the interval costs a little, what is left is the search's.
    EXPECT_LE(best.bytes, 1.08 * network.smallest(0.9)) << seed;
    EXPECT_LT(network.evaluated, 24 + 1) << seed;
    EXPECT_LT(static_cast<size_t>(network.evaluated), network.truth.size() * kSystems.size()) << seed;
    ASSERT_FALSE(outcome.ladder.empty());
    EXPECT_EQ(outcome.ladder.back(), outcome.best) << seed;
  }
}

TEST(Search, BeatsTheUniformNetworkThatFitsTheSameLimit) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    MadeUp network(seed);
    const auto chosen = uniform(network.problem.layers, "int4");
    const Measured reference = network.problem.evaluate(*chosen);
    network.problem.target.max_bytes = 1.05 * reference.bytes;
    const Outcome outcome = run_search(network.problem);
    const Measured& best = outcome.trials[outcome.best].measured;
    EXPECT_TRUE(outcome.within_limits);
    EXPECT_LE(best.bytes, 1.05 * reference.bytes);
    EXPECT_LT(best.drop.loss, reference.drop.loss) << seed;
  }
}

TEST(Search, KeepsLimitsOfTimeAndSizeTogether) {
  MadeUp network(3);
  const Measured middle = network.problem.evaluate(*uniform(network.problem.layers, "int6"));
  network.problem.target.max_bytes = middle.bytes;
  network.problem.target.max_ms = 0.8 * middle.ms;
  const Outcome outcome = run_search(network.problem);
  EXPECT_TRUE(outcome.within_limits);
  EXPECT_LE(outcome.trials[outcome.best].measured.ms, 0.8 * middle.ms);
}

TEST(Search, ReportsTheNearestWhereNothingIsWithinTheLimits) {
  MadeUp network(4);
  network.problem.target.max_bytes = 100;
  const Outcome outcome = run_search(network.problem);
  EXPECT_FALSE(outcome.within_limits);
  const Measured least = network.problem.evaluate(*uniform(network.problem.layers, "int2"));
  EXPECT_EQ(outcome.trials[outcome.best].measured.bytes, least.bytes);
}

TEST(Search, GoesByEstimatesAndSaysSoWhereSamplesAreTooFewForIntervals) {
  MadeUp network(5, 10, /*samples=*/100);
  network.problem.target.max_drop = 1.0;
  const Outcome outcome = run_search(network.problem);
  EXPECT_FALSE(outcome.interval_decided);
  EXPECT_LE(outcome.trials[outcome.best].measured.drop.value, 1.0);
}

TEST(Search, TakesTheLeastLossWhereTheTargetCannotBeMet) {
  MadeUp network(6);
  network.problem.target.max_drop = 1e-9;
  const Outcome outcome = run_search(network.problem);
  EXPECT_TRUE(outcome.ladder.empty());
  EXPECT_EQ(outcome.trials[outcome.best].chosen, *uniform(network.problem.layers, "int8"));
}

TEST(Search, StopsAtItsBudgetWithTheBestSoFar) {
  for (int64_t most = 1; most <= 6; ++most) {
    MadeUp network(7);
    network.problem.target.max_drop = 1.0;
    network.problem.most_evaluations = most;
    const Outcome outcome = run_search(network.problem);
    EXPECT_LE(network.evaluated, most);
    EXPECT_LE(outcome.trials[outcome.best].measured.drop.ci95.high, 1.0);
  }
}

/// What a search decided, as text.
std::string decisions(const Outcome& outcome) {
  std::string text;
  for (const Trial& trial : outcome.trials) {
    for (const uint16_t c : trial.chosen) text += std::to_string(c);
    text += ":" + std::to_string(trial.measured.drop.loss) + " ";
  }
  return text + std::to_string(outcome.best);
}

TEST(Search, FindsTheSameWhenRunTwiceAndWhenInterruptedAnywhere) {
  const auto path = std::filesystem::temp_directory_path() / ("lowbit-search-" + std::to_string(::getpid()));
  struct Interrupted {};
  const auto run = [&](size_t stop_after, int& evaluated) {
    MadeUp network(8);
    network.problem.target.max_drop = 1.0;
    Journal journal(path, Json{{"seed", 8}});
    journal.on_write = [&](size_t written) {
      if (written == stop_after) throw Interrupted{};
    };
    const auto evaluate = network.problem.evaluate;
    network.problem.evaluate = [&](const std::vector<uint16_t>& chosen) {
      const Json j = journal.remember(Json(chosen).dump(), [&] {
        const Measured m = evaluate(chosen);
        return Json{m.drop.value, m.drop.ci95.low, m.drop.ci95.high, m.drop.loss, m.bytes, m.ms};
      });
      return Measured{{j[0], {j[1], j[2]}, j[3], 1000000}, j[4], j[5]};
    };
    try {
      const Outcome outcome = run_search(network.problem);
      evaluated += network.evaluated;
      return decisions(outcome);
    } catch (const Interrupted&) {
      evaluated += network.evaluated;
      return std::string();
    }
  };
  std::filesystem::remove(path);
  int evaluations = 0;
  const std::string undisturbed = run(SIZE_MAX, evaluations);
  ASSERT_FALSE(undisturbed.empty());
  std::filesystem::remove(path);
  // The first record says what is searched.
  for (size_t stop_after = 2; stop_after <= static_cast<size_t>(evaluations) + 1; ++stop_after) {
    std::filesystem::remove(path);
    int together = 0;
    EXPECT_EQ(run(stop_after, together), "");
    EXPECT_EQ(run(SIZE_MAX, together), undisturbed) << "interrupted after " << stop_after;
    EXPECT_EQ(together, evaluations) << "interrupted after " << stop_after;  // nothing was evaluated twice
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace lowbit::search
