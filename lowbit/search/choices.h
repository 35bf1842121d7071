// choices.h: one choice for each layer, so that the sums of bytes, time and loss are on the Pareto front: a
// multiple-choice knapsack. Solved by dynamic programming over partial assignments: layer by layer, what another
// partial assignment beats in everything is dropped. That is exact as long as no more than kMostLabels partial
// assignments remain; beyond it those that fall into one cell of a grid over the costs are represented by the one with
// the least loss. lower_bound() says how far from the optimum a solution can be at most. Sources: Sinha, Zoltners, "The
// multiple-choice knapsack problem", Operations Research 27 (1979); Everett, "Generalized Lagrange multiplier method",
// Operations Research 11 (1963).
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace lowbit::search {

/// What one way to store and compute a layer costs. loss: what it adds to the error of the network's output (any unit
/// in which the layers' losses add up).
struct Choice {
  double bytes = 0, ms = 0, loss = 0;
};

/// What a whole network may cost at most.
struct Limits {
  double bytes = std::numeric_limits<double>::infinity(), ms = std::numeric_limits<double>::infinity();
};

/// One index of a choice for each layer, and the sums.
struct Assignment {
  std::vector<uint16_t> chosen;
  Choice total;
};

inline constexpr size_t kMostLabels = 1 << 14;

/// The assignments within the limits that no other one beats in all of bytes, time and loss, by rising bytes, of equal
/// bytes by rising time. Empty if none is within the limits. Every layer needs between 1 and 65535 choices with finite
/// costs that are not negative (Error{internal} otherwise). Deterministic. O(layers * choices * kMostLabels * log).
std::vector<Assignment> pareto_front(std::span<const std::vector<Choice>> layers, const Limits& limits = {},
                                     size_t most_labels = kMostLabels);

/// A loss that no assignment within the limits can be below, by Lagrangian relaxation: max over l, m >= 0 of
/// sum min (loss + l bytes + m ms) - l limit - m limit. Infinity if nothing is within the limits of one cost.
double lower_bound(std::span<const std::vector<Choice>> layers, const Limits& limits);

}  // namespace lowbit::search
