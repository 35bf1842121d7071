// weight_choice.h: `--weights auto:N`: the number system, width and granularity of each layer's weights, chosen by
// measured error so that all of them together take at most N bits for each weight, parameters included. N may be
// fractional.
//
// What is minimised is the sum over the layers of their relative error, sum i (w - q)^2 / sum i w^2 with the importance
// i of each weight (E[x^2] of its input channel, where calibration data are there): the noise that a layer's own
// rounding adds to its results, relative to them. Widths are spread over the layers by dynamic programming over the
// bits (a choice for each layer out of its candidates on the Pareto front), exact up to 1 / 2^14 of the budget, which
// only ever rounds to fewer bits.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/methods/placement.h"
#include "lowbit/methods/weight_fit.h"

namespace lowbit {

/// N of "auto:N"; nothing for any other text. Throws Error{bad_argument} if N is no number from 1 to 16.
std::optional<double> parse_auto(std::string_view weights);

/// A selector that matches the nodes of this name alone.
std::string literal_glob(const std::string& name);

/// One way to store a tensor: what it costs and what it leaves wrong.
struct Choice {
  int64_t bits = 0;
  double error = 0;
};

/// The index of a choice for each layer, so that the sum of errors is least and the sum of bits at most `budget`. Every
/// layer needs at least one choice; if even the smallest ones exceed the budget, those are returned.
std::vector<size_t> spread_bits(std::span<const std::vector<Choice>> layers, int64_t budget);

/// Replaces auto:N in the placement and the recipe by what was chosen: one rule of the recipe for each layer, so that
/// the same result comes out of --recipe. Layers with the same N share their budget. The ledger's reason of
/// each layer says what it cost and what the runner-up was; `notes` gets the mean bits. The weights are fitted by least
/// error, by importance where there are statistics unless the recipe asks for `mse`, and the recipe then says so.
/// `statistics` may be null.
void resolve_auto(const Graph& graph, const StatisticsSet* statistics, ThreadPool& threads, Placement& placement,
                  Recipe& recipe, std::vector<std::string>& notes);

}  // namespace lowbit
